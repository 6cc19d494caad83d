/**
 * The kill switch as whoever presses it has it, by command line or by HTTP. The file first, which whatever runs on this data
 * directory honours at once; then the row, which takes its place; then the cancels are seen through. Whatever is away
 * meanwhile, what can be done without it is done, and it is said which.
 */
import { livePools } from '../../../db/events/leases.ts'
import { redact } from '../../../db/secrets.ts'
import type { HaltRow } from '../../../db/walle/live_rows.ts'
import { openOrdersAtVenues } from '../../../db/walle/queries/halts.ts'
import type { Config } from '../../config/config.ts'
import type { Venues } from '../../live/live.ts'
import type { Log } from '../../log.ts'
import type { System } from '../../system.ts'
import { openVenues, openVenuesAlone } from '../../veda/venues/world.ts'
import { type Clock, wallClock } from '../clock.ts'
import type { CommandContext } from '../commands.ts'
import type { Halted, HaltRequest } from '../halt_commands.ts'
import { clearHaltFile, haltFilePath, hasDataDir, writeHaltFile } from './file.ts'
import { openHaltCommands } from './halt.ts'

export interface PressWorld {
  config: Config
  log: Log
  /** The database, where it is there. */
  open: () => Promise<System>
  /** Resolves after so long, and keeps no process from ending. */
  patience: (ms: number) => Promise<void>
  /** What was done or could not be done, as it happens. */
  tell?: (text: string, isTrouble: boolean) => void
}

/** A venue that was asked from here to cancel all that is open. */
export interface AskedVenue {
  exchange: string
  mode: string
  /** How many orders it was asked to cancel; null: it could not be asked, see `problem`. */
  cancels: number | null
  problem: string | null
}

export interface Pressed {
  /** What says that it is halted: the row, or while the database is away the file. Null: NOTHING, and orders may leave. */
  by: 'database' | 'file' | null
  halt: HaltRow | null
  already: boolean
  /** Runs with open orders; null: only the database knows. */
  runs: number | null
  /** Empty: the workers have cancelled what was open. */
  asked: AskedVenue[]
  /** All of it, in words. */
  said: string[]
}

/** Of a database that does not answer: whoever presses this does not want to wait. */
const DATABASE_MS = 10_000
/** Of workers that are to cancel: then the venues are asked from here. */
const CONFIRM_MS = 10_000
const LOOK_MS = 100

type Say = (text: string, isTrouble?: boolean) => void

export async function pressHalt(world: PressWorld, request: HaltRequest, context: CommandContext): Promise<Pressed> {
  const { config, log } = world
  const said: string[] = []
  const say: Say = (text, isTrouble = false) => {
    said.push(redact(text))
    world.tell?.(text, isTrouble)
  }
  const leaveFile = () => leaveHaltFile(config.dataDir, request)
  let fileProblem = await leaveFile()
  const told = await inTime(world, tellDatabase(world, request, context)).catch((error: unknown) => {
    say(`The database cannot be told: ${messageOf(error)}`, true)
    return null
  })
  if (told === null) {
    // Who resumed meanwhile has taken it away.
    fileProblem ??= await leaveFile()
    const file = fileProblem === null
    if (fileProblem !== null) say(fileProblem, true)
    say(
      file
        ? `Halted by ${haltFilePath(config.dataDir)}: Weaver sends no order until weaver resume.`
        : 'NOT halted: neither the database nor a halt file says so. Stop Weaver itself. Open orders are cancelled:',
      !file,
    )
    const asked = await askVenues(await openVenuesAlone(config, log, wallClock), say)
    return { by: file ? 'file' : null, halt: null, already: false, runs: null, asked, said }
  }
  const { system, halted } = told
  await clearHaltFile(config.dataDir)
  say(
    halted.already
      ? `It is halted already, since ${halted.halt.halted_at} by ${halted.halt.halted_by}.`
      : 'Halted: no order leaves but cancels. weaver resume ends the halt.',
  )
  const cancelled = await seenCancelled(system, wallClock, say).catch((error: unknown) => {
    say(`The database does not say what became of open orders: ${messageOf(error)}`, true)
    return false
  })
  const asked = cancelled ? [] : await askVenues(await openVenues(system, wallClock), say)
  return { by: 'database', ...halted, asked, said }
}

/** Null: it is there. A full disk does not keep anybody from halting. */
async function leaveHaltFile(dataDir: string, { reason, by }: HaltRequest): Promise<string | null> {
  if (!hasDataDir(dataDir)) return `There is no data directory ${dataDir} for a halt file.`
  try {
    await writeHaltFile(dataDir, { reason, by, at: new Date(wallClock.now()).toISOString() })
    return null
  } catch (error) {
    return `${haltFilePath(dataDir)} cannot be written: ${messageOf(error)}`
  }
}

async function tellDatabase(
  world: PressWorld,
  request: HaltRequest,
  context: CommandContext,
): Promise<{ system: System; halted: Halted }> {
  const system = await world.open()
  return { system, halted: await openHaltCommands(system).halt(request, context) }
}

async function inTime<T>({ patience }: PressWorld, work: Promise<T>): Promise<T> {
  const late = patience(DATABASE_MS).then(() => {
    throw new Error(`it did not answer within ${DATABASE_MS / 1000} s`)
  })
  // Whichever comes second is of no interest any more.
  work.catch(() => {})
  late.catch(() => {})
  return Promise.race([work, late])
}

/** The workers cancel. False: none is at work, or they do not get there. */
async function seenCancelled({ db }: System, { now, sleep }: Clock, say: Say): Promise<boolean> {
  const until = now() + CONFIRM_MS
  const workers = await livePools(db)
  let open = await openOrdersAtVenues(db.reader)
  if (workers === 0) {
    say('No worker is at work.')
    return false
  }
  if (open > 0) say(`${open} open orders are being cancelled.`)
  while (open > 0 && now() < until) {
    await sleep(LOOK_MS)
    open = await openOrdersAtVenues(db.reader)
  }
  say(open === 0 ? 'No order of Weaver is open at any venue.' : `${open} orders are not confirmed as cancelled yet.`)
  return open === 0
}

/** Every account that has credentials is asked to cancel whatever is open in it, all at once. */
async function askVenues(venues: Venues, say: Say): Promise<AskedVenue[]> {
  const failed = (exchange: string, mode: string, problem: string): AskedVenue => {
    say(`${exchange} ${mode}: CANCELS COULD NOT BE SENT: ${problem}`, true)
    return { exchange, mode, cancels: null, problem: redact(problem) }
  }
  const asked = await Promise.all(
    venues.configured().map(async ({ exchange, mode }): Promise<AskedVenue> => {
      try {
        const cancels = await (await venues.get(exchange, mode)).cancelAll()
        say(`${exchange} ${mode}: asked to cancel ${cancels} open orders`)
        return { exchange, mode, cancels, problem: null }
      } catch (error) {
        return failed(exchange, mode, messageOf(error))
      }
    }),
  )
  for (const { exchange, problems } of venues.known()) {
    for (const problem of problems) asked.push(failed(exchange, '', problem))
  }
  if (asked.some(({ problem }) => problem !== null)) {
    say('Cancel them on the page of the venue itself, or press it again.', true)
  }
  await venues.close()
  return asked
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
