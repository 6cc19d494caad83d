/**
 * The keeper of an account: of all processes that could, the one that hears its venue's stream, polls where there is none,
 * and compares what we hold with what the venue holds. A stream is a hint; what the venue answers when asked is the truth.
 */
import { hostname } from 'node:os'
import type { NewEvent } from '../db/events/envelope.ts'
import { createLeader, type Leader } from '../db/events/leader.ts'
import type { AccountRow } from '../db/walle/live_rows.ts'
import type { Outcome } from '../db/walle/outcome.ts'
import { type AccountName, getAccount, listAccounts, lockAccount, newestUpdate } from '../db/walle/queries/accounts.ts'
import { tradedSymbols } from '../db/walle/queries/market.ts'
import {
  type ApplyReport,
  type AskedVenue,
  type Cause,
  checkAccount,
  type Memory,
  NO_MEMORY,
  NotItsKeeper,
  updated,
} from './account_check.ts'
import { createEar } from './account_ear.ts'
import type { Live } from './live.ts'
import { unfinishedJobs } from './order_jobs.ts'
import type { Settling } from './veda/reconcile.ts'
import { type Venue, VenueError } from './veda/venue.ts'

export interface KeeperLimits extends Settling {
  /** How often it looks whether there is something to do. */
  tickMs: number
  /** How often a stand-by asks whether the keeper is gone. */
  standByMs: number
  /** Between two reconciliations while the stream is up. */
  reconcileMs: number
  /** Between two polls while no stream tells. */
  pollMs: number
  /** How long the stream may be down, or a venue silent, before no order leaves any more. */
  downMs: number
  /** With open orders, a stream that says nothing for so long is opened anew. */
  silentMs: number
  /** What the stream should have told so long ago and did not shows that it is deaf. */
  deafMs: number
  /** A call of the venue that takes longer is given up; the adapter has limits of its own. */
  callMs: number
  /** After a failure: doubling from the first to the most. */
  backoff: { firstMs: number; mostMs: number }
}

export const KEEPER_LIMITS: KeeperLimits = {
  tickMs: 500,
  standByMs: 500,
  reconcileMs: 60_000,
  pollMs: 5_000,
  downMs: 15_000,
  silentMs: 900_000,
  deafMs: 10_000,
  callMs: 60_000,
  settleMs: 2_000,
  mostMs: 60_000,
  backoff: { firstMs: 1_000, mostMs: 300_000 },
}

export interface Keeper {
  start(): void
  /** Waits for what is under way. */
  stop(): Promise<void>
}

export interface KeeperOptions {
  live: Live
  apply: ApplyReport
  name: AccountName
  limits?: Partial<KeeperLimits>
}

const LOCK_KEY = 'hashtextextended($1, 0)'
const lockName = ({ exchange, mode }: AccountName) => `weaver:account:${exchange}:${mode}`

export function createAccountKeeper({ live, apply, name, limits: changed = {} }: KeeperOptions): Keeper {
  const limits = { ...KEEPER_LIMITS, ...changed }
  const { exchange, mode } = name
  const label = `${exchange} ${mode}`
  let term: Term | null = null
  const leader: Leader = createLeader({
    db: live.db,
    sleep: live.sleep,
    onError: (error) => live.log('error', { err: error, account: label }, 'account keeper'),
    key: { sql: LOCK_KEY, value: lockName(name) },
    channel: 'weaver_account',
    pollMs: limits.tickMs,
    standByMs: limits.standByMs,
    onLead: async () => {
      term = createTerm({ live, apply, name, limits, wake: () => leader.wake() })
      await term.begin()
    },
    round: async () => {
      await term?.round()
      return 'rest'
    },
    onEnd: async () => {
      await term?.end()
      term = null
    },
  })
  return { start: leader.start, stop: leader.stop }
}

interface TermOptions extends Required<Pick<KeeperOptions, 'live' | 'apply' | 'name'>> {
  limits: KeeperLimits
  wake: () => void
}

/** From taking the lead to its end. */
interface Term {
  begin(): Promise<void>
  round(): Promise<void>
  end(): Promise<void>
}

function createTerm({ live, apply, name, limits, wake }: TermOptions): Term {
  const { exchange, mode } = name
  const label = `${exchange} ${mode}`
  const keeper = `${hostname()} ${process.pid} ${live.newId().slice(0, 8)}`
  const ear = createEar({ live, apply, name, wake })
  const causes = new Set<Cause>(['start'])
  let venue: Venue | null = null
  let memory: Memory = NO_MEMORY
  const startedAt = live.now()
  let checkedAt = Number.NEGATIVE_INFINITY
  let recheckAt = Number.POSITIVE_INFINITY
  let seenUpdate = 0
  let openOrders = 0
  let requested: string | null = null
  /** Of the venue's failures. */
  let failingSince: number | null = null
  let failures = 0
  let retryAt = 0

  /** What the account is while nobody can say better. */
  async function setState(state: AccountRow['state'], reason: string): Promise<void> {
    await live.db.write(async (tx) => {
      const row = await lockAccount(tx, name)
      if (row === null || row.keeper !== keeper) return
      if (row.state === state && row.state_reason === reason) return
      const stream = !ear.wanted() ? 'none' : ear.up() ? 'up' : 'down'
      await live.record(tx, stateOutcome(live, { ...row, state, state_reason: reason, stream }))
    })
  }

  const streamIsDown = () => `its stream of order updates is down: ${ear.reason()}`

  /** The first cause that wants a reconciliation now; null: none. */
  function due(now: number, hearing: boolean): Cause | null {
    for (const cause of ['start', 'reconnect', 'request'] as const) if (causes.has(cause)) return cause
    const every = hearing ? limits.reconcileMs : limits.pollMs
    return now >= recheckAt || now - checkedAt >= every || causes.has('timer') ? 'timer' : null
  }

  async function hears(): Promise<Venue | null> {
    venue ??= await bounded(live, limits.callMs, live.venues.get(exchange, mode))
    ear.listen(venue)
    if (venue.features.barStream) ear.watch(await tradedSymbols(live.db.reader, exchange, mode))
    // First the stream, then the questions: what happens in between is told by it.
    const waits = ear.wanted() && !ear.up() && !ear.downFor(limits.downMs, startedAt)
    return waits && causes.has('start') ? null : venue
  }

  async function check(now: number): Promise<void> {
    const open = await hears()
    if (open === null) return
    if (ear.takeNews()) causes.add('reconnect')
    const polled = !ear.wanted()
    const cause = due(now, ear.up())
    if (cause === null) return
    const down = ear.wanted() && !ear.up()
    const lost = down && ear.downFor(limits.downMs, startedAt)
    const before = new Set(causes)
    causes.clear()
    recheckAt = Number.POSITIVE_INFINITY
    try {
      const result = await checkAccount(live, apply, {
        exchange,
        mode,
        venue: patient(live, limits.callMs, open),
        cause,
        source: polled || down ? 'poll' : 'reconcile',
        keeper,
        stream: polled ? 'none' : down ? 'down' : 'up',
        lost: lost ? streamIsDown() : null,
        memory,
        settling: limits,
      })
      memory = result.memory
      openOrders = result.openOrders
      checkedAt = live.now()
      if (result.unsettled.length > 0) recheckAt = checkedAt + limits.settleMs
      const deaf = cause === 'timer' && ear.up() && result.newsAt !== null && result.newsAt < now - limits.deafMs
      if (deaf) await ear.reopen('it did not tell what the venue knew')
    } catch (error) {
      for (const one of before) causes.add(one)
      causes.add('timer')
      throw error
    }
  }

  async function failed(error: unknown, now: number): Promise<void> {
    if (error instanceof NotItsKeeper) throw error
    failures += 1
    failingSince ??= now
    const kind = error instanceof VenueError ? error.kind : 'unknown'
    const asked = error instanceof VenueError ? (error.retryAfterMs ?? 0) : 0
    const { firstMs, mostMs } = limits.backoff
    retryAt = now + Math.max(asked, Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 20)))
    const message = error instanceof Error ? error.message : String(error)
    live.log('warn', { err: error, account: label, retry_in_ms: retryAt - now }, 'the account cannot be checked')
    if (kind === 'unauthorised') {
      await ear.close()
      venue = null
      await setState('refused', message)
    } else if (now - failingSince >= limits.downMs || checkedAt === Number.NEGATIVE_INFINITY) {
      await setState('unknown', `it cannot be checked: ${message}`)
    }
  }

  return {
    async begin() {
      await live.db.write(async (tx) => {
        const row = (await lockAccount(tx, name)) ?? newAccount(name)
        requested = row.reconcile_requested_at
        const taken = { ...row, keeper, state: 'unknown' as const, state_reason: 'it is being found out' }
        // Jobs may have died with those who kept it before; one too many does nothing.
        const jobs = await unfinishedJobs(tx, name)
        await live.record(tx, { ...stateOutcome(live, { ...taken, stream: null }), jobs })
      })
      seenUpdate = await newestUpdate(live.db.reader, name)
    },
    async round() {
      const now = live.now()
      const row = await getAccount(live.db.reader, name)
      if (row?.keeper !== keeper) throw new NotItsKeeper(`${label} is kept by ${row?.keeper ?? 'nobody'}`)
      if (row.reconcile_requested_at !== null && row.reconcile_requested_at !== requested) {
        requested = row.reconcile_requested_at
        causes.add('request')
        retryAt = 0
      }
      const newest = await newestUpdate(live.db.reader, name)
      // Something was heard, by whichever process: positions are compared once it has settled.
      if (newest !== seenUpdate || ear.takeStir()) recheckAt = Math.min(recheckAt, now + limits.settleMs)
      seenUpdate = newest
      // Who sends orders was told that the credentials are no good.
      if (row.state === 'refused' && failures === 0) causes.add('timer')
      if (ear.wanted() && !ear.up() && ear.downFor(limits.downMs, startedAt) && row.state === 'ready') {
        await setState('unknown', streamIsDown())
      }
      if (ear.up() && openOrders > 0 && ear.silentFor(limits.silentMs)) await ear.reopen('it was silent')
      if (now < retryAt) return
      try {
        await check(now)
        failures = 0
        failingSince = null
      } catch (error) {
        await failed(error, live.now())
      }
    },
    async end() {
      await ear.close()
      await setState('unknown', 'its keeper has stopped').catch(() => {})
    },
  }
}

/** A process cannot end while it sleeps. */
const STEP_MS = 500

/** A call that never answers is given up. */
async function bounded<T>({ sleep }: Live, mostMs: number, work: Promise<T>): Promise<T> {
  let settled = false
  const done = work.finally(() => {
    settled = true
  })
  done.catch(() => {})
  for (let left = mostMs; left > 0 && !settled; left -= STEP_MS) {
    await Promise.race([done.catch(() => {}), sleep(Math.min(left, STEP_MS))])
  }
  if (settled) return done
  throw new VenueError('unavailable', `no answer within ${mostMs} ms`)
}

function patient(live: Live, mostMs: number, venue: Venue): AskedVenue {
  const wait = <T>(work: Promise<T>) => bounded(live, mostMs, work)
  return {
    account: () => wait(venue.account()),
    positions: () => wait(venue.positions()),
    orders: (which) => wait(venue.orders(which)),
    executions: (since) => wait(venue.executions(since)),
    orderByClientId: (id) => wait(venue.orderByClientId(id)),
  }
}

function newAccount({ exchange, mode }: AccountName): AccountRow {
  return {
    exchange,
    mode,
    account_number: null,
    currency: 'USD',
    cash: '0',
    equity: '0',
    buying_power: '0',
    state: 'unknown',
    state_reason: null,
    blocked: null,
    keeper: null,
    stream: null,
    reconcile_requested_at: null,
    checked_at: null,
    reconciled_at: null,
  }
}

function stateOutcome(live: Live, row: AccountRow): Outcome {
  const id = live.newId()
  const event: NewEvent = {
    id,
    run_id: null,
    corr_id: id,
    causation_id: null,
    ts: new Date(live.now()).toISOString(),
    producer: 'veda',
    ...updated(row),
  }
  return { writes: [{ kind: 'save_accounts', rows: [row] }], events: [event] }
}

/** An account whose keeper was killed still says that it is ready: until it is kept again nobody knows. */
export async function disownAccounts({ db, record }: Pick<Live, 'db' | 'record'>): Promise<void> {
  for (const name of await listAccounts(db.reader)) {
    await db.write(async (tx) => {
      const [lock] = await tx.query<{ free: boolean }>(`select pg_try_advisory_xact_lock(${LOCK_KEY}) as free`, [
        lockName(name),
      ])
      const row = lock?.free === true ? await lockAccount(tx, name) : null
      if (row?.state !== 'ready') return
      const unknown = { ...row, state: 'unknown' as const, state_reason: 'nobody keeps it yet' }
      await record(tx, { writes: [{ kind: 'save_accounts', rows: [unknown] }], events: [] })
    })
  }
}

/** One keeper for each account that this process has what it needs for. */
export function startKeepers(live: Live, apply: ApplyReport): Keeper {
  const keepers = live.venues
    .configured()
    .map(({ exchange, mode }) => createAccountKeeper({ live, apply, name: { exchange, mode } }))
  const all: Keeper = {
    start: () => {
      for (const keeper of keepers) keeper.start()
    },
    stop: async () => {
      await Promise.all(keepers.map((keeper) => keeper.stop()))
    },
  }
  all.start()
  return all
}
