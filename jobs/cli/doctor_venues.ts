/** What `weaver doctor` finds out about exchanges: each is asked for its account, with the credentials that it has. */
import { setTimeout as delay } from 'node:timers/promises'
import { wallClock } from '../glados/clock.ts'
import type { Venues } from '../live/live.ts'
import type { TradingMode, Venue } from '../veda/venue.ts'
import { MOST_SKEW_MS } from '../veda/venues/clock_skew.ts'
import { inTime } from '../veda/venues/in_time.ts'
import type { Finding } from './doctor.ts'

const ANSWER_MS = 15_000

export async function checkVenues(venues: Venues): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const { exchange, accounts, problems } of venues.known()) {
    findings.push(...problems.map((problem) => ({ name: exchange, ok: false, text: problem })))
    for (const { mode, doubts, ...address } of accounts) {
      const name = `${exchange} ${mode}`
      findings.push(...doubts.map((doubt) => ({ name, ok: false, text: doubt })))
      findings.push(...(await checkVenue(venues, { exchange, mode, ...address })))
    }
  }
  return findings
}

interface Account {
  exchange: string
  mode: TradingMode
  host: string | null
  custom_host: boolean
}

async function checkVenue(venues: Venues, { exchange, mode, host, custom_host }: Account): Promise<Finding[]> {
  const name = `${exchange} ${mode}`
  try {
    const venue = await answered(venues.get(exchange, mode))
    const { account_number, blocked, currency, equity } = await answered(venue.account())
    const state = blocked === null ? `active, equity ${equity} ${currency}` : `nothing can be traded: ${blocked}`
    const where = host === null ? '' : ` at ${host}${custom_host ? ", which is NOT the exchange's own host" : ''}`
    const account = `${mode} account ${masked(account_number)}${where}: ${state}`
    return [{ name, ok: blocked === null, text: account }, await checkTime(name, venue)]
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    return [{ name, ok: false, text: `${text}: check its credentials and the network` }]
  }
}

/** Enough to tell it from another one. */
const masked = (number: string): string => `…${number.slice(-4)}`

async function checkTime(name: string, venue: Venue): Promise<Finding> {
  const asked = wallClock.now()
  const theirs = await answered(venue.time())
  const skew = Math.round((asked + wallClock.now()) / 2 - theirs)
  const ok = Math.abs(skew) <= MOST_SKEW_MS
  const advice = ok ? '' : ': set up time synchronisation on this machine'
  return { name, ok, text: `the clock is ${skew} ms from the exchange's${advice}` }
}

// An answer that was not needed must not keep the process from ending.
const unheld = (ms: number) => delay(ms, undefined, { ref: false })
const answered = <T>(asked: Promise<T>): Promise<T> => inTime(unheld, ANSWER_MS, asked)
