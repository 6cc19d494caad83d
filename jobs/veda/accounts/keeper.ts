/**
 * The keeper of an account: of all processes that could, the one that hears its venue's stream, polls where there is none,
 * and compares what we hold with what the venue holds. A stream is a hint; what the venue answers when asked is the truth.
 */
import { hostname } from 'node:os'
import type { NewEvent } from '../../../db/events/envelope.ts'
import { createLeader, type Leader } from '../../../db/events/leader.ts'
import type { AccountRow } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import {
  type AccountName,
  getAccount,
  listAccounts,
  lockAccount,
  newestUpdate,
} from '../../../db/walle/queries/accounts.ts'
import { tradedSymbols } from '../../../db/walle/queries/market.ts'
import type { Live } from '../../live/live.ts'
import { assetClassOf } from '../checks.ts'
import { unfinishedJobs } from '../orders/placing.ts'
import type { Settling } from '../positions.ts'
import { type Venue, VenueError } from '../venue.ts'
import { createVenueClock, type VenueClock } from '../venues/clock.ts'
import {
  type ApplyReport,
  type AskedVenue,
  type Cause,
  checkAccount,
  type Memory,
  NO_MEMORY,
  updated,
} from './check.ts'
import { apart, Ear } from './ear.ts'
import { NotItsKeeper } from './holdings.ts'
import { createLostJobs, type LostJobs } from './lost_jobs.ts'

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
  /** How long the stream is waited for; from then on polls stand in for it, as where there is none, until it is back. */
  aloneMs: number
  /** With open orders, a stream that says nothing for so long is opened anew. */
  silentMs: number
  /** What the stream should have told so long ago and did not shows that it is deaf. */
  deafMs: number
  /** A call of the venue that takes longer is given up; the adapter has limits of its own. */
  callMs: number
  /** After a failure: doubling from the first to the most; keys that are refused are tried more and more seldom. */
  backoff: { firstMs: number; mostMs: number; refusedMostMs: number }
}

export const KEEPER_LIMITS: KeeperLimits = {
  tickMs: 500,
  standByMs: 500,
  reconcileMs: 60_000,
  pollMs: 5_000,
  downMs: 15_000,
  aloneMs: 300_000,
  silentMs: 900_000,
  deafMs: 10_000,
  callMs: 60_000,
  settleMs: 2_000,
  mostMs: 60_000,
  backoff: { firstMs: 1_000, mostMs: 15_000, refusedMostMs: 300_000 },
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
      term = new Term({ live, apply, name, limits, wake: () => leader.wake() })
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
class Term {
  private readonly options: TermOptions
  private readonly keeper: string
  private readonly ear: Ear
  private readonly startedAt: number
  private readonly venueClock: VenueClock
  private readonly lostJobs: LostJobs
  private readonly causes = new Set<Cause>(['start'])
  private venue: Venue | null = null
  private memory: Memory = NO_MEMORY
  private checkedAt = Number.NEGATIVE_INFINITY
  private recheckAt = Number.POSITIVE_INFINITY
  private seenUpdate = 0
  private openOrders = 0
  private requested: string | null = null
  /** Of the venue's failures. */
  private failingSince: number | null = null
  private failures = 0
  private retryAt = 0
  private failedAt = 0

  constructor(options: TermOptions) {
    const { live } = options
    this.options = options
    this.keeper = `${hostname()} ${process.pid} ${live.newId().slice(0, 8)}`
    this.ear = new Ear(options)
    this.startedAt = live.now()
    this.venueClock = createVenueClock(live, options.name)
    this.lostJobs = createLostJobs(live, options.name, options.limits.reconcileMs)
  }

  async begin(): Promise<void> {
    const { live, name } = this.options
    await live.db.write(async (tx) => {
      const row = (await lockAccount(tx, name)) ?? newAccount(name)
      this.requested = row.reconcile_requested_at
      const taken = { ...row, keeper: this.keeper, state: 'unknown' as const, state_reason: 'it is being found out' }
      // Jobs may have died with those who kept it before; one too many does nothing.
      const jobs = await unfinishedJobs(tx, name)
      await live.record(tx, { ...stateOutcome(live, { ...taken, stream: null }), jobs })
    })
    this.seenUpdate = await newestUpdate(live.db.reader, name)
  }

  async round(): Promise<void> {
    const { live, limits } = this.options
    const now = live.now()
    await this.lookAtAccount(now)
    await this.lostJobs.look(now)
    if (this.ear.up() && this.openOrders > 0 && this.ear.silentFor(limits.silentMs)) {
      await this.ear.reopen('it was silent')
    }
    if (now < this.retryAt && now >= this.failedAt) return
    try {
      await this.check(now)
      this.failures = 0
      this.failingSince = null
    } catch (error) {
      await this.failed(error, live.now())
    }
  }

  async end(): Promise<void> {
    await this.ear.close()
    // Without a database the next keeper finds it out.
    await this.setState('unknown', 'its keeper has stopped').catch(() => {})
  }

  private async lookAtAccount(now: number): Promise<void> {
    const { live, name, limits } = this.options
    const row = await getAccount(live.db.reader, name)
    if (row?.keeper !== this.keeper) {
      throw new NotItsKeeper(`${labelOf(name)} is kept by ${row?.keeper ?? 'nobody'}, no longer by ${this.keeper}`)
    }
    if (row.reconcile_requested_at !== null && row.reconcile_requested_at !== this.requested) {
      this.requested = row.reconcile_requested_at
      this.causes.add('request')
      this.retryAt = 0
    }
    const newest = await newestUpdate(live.db.reader, name)
    // Something was heard, by whichever process: positions are compared once it has settled.
    if (newest !== this.seenUpdate || this.ear.takeStir()) {
      this.recheckAt = Math.min(this.recheckAt, now + limits.settleMs)
    }
    this.seenUpdate = newest
    // Who sends orders was told that the credentials are no good.
    if (row.state === 'refused' && this.failures === 0) this.causes.add('timer')
    if (row.state === 'ready' && this.isLost()) await this.setState('unknown', this.streamIsDown())
  }

  private async check(now: number): Promise<void> {
    const { live, apply, name, limits } = this.options
    const venue = await this.hearing()
    if (venue === null) return
    if (this.ear.takeNews()) this.causes.add('reconnect')
    const cause = this.due(now)
    if (cause === null) return
    const polled = this.isPolled()
    const down = !polled && !this.ear.up()
    const causes = [...this.causes]
    this.causes.clear()
    this.recheckAt = Number.POSITIVE_INFINITY
    try {
      const result = await checkAccount(live, apply, {
        ...name,
        venue: patient(live, limits.callMs, venue),
        cause,
        source: polled || down ? 'poll' : 'reconcile',
        keeper: this.keeper,
        requested: this.requested,
        stream: polled ? 'none' : down ? 'down' : 'up',
        lost: this.isLost() ? this.streamIsDown() : null,
        polled: polled && this.ear.wanted() ? `its orders are polled: ${this.ear.reason()}` : null,
        memory: this.memory,
        settling: limits,
        feeRate: (symbol) => venue.features.unsureFeeInKind[assetClassOf(symbol)],
      })
      this.memory = result.memory
      this.openOrders = result.openOrders
      this.checkedAt = live.now()
      if (result.unsettled.length > 0) this.recheckAt = this.checkedAt + limits.settleMs
      const deaf = cause === 'timer' && this.ear.up() && (result.newsAt ?? now) < now - limits.deafMs
      if (deaf) await this.ear.reopen('it did not tell what the venue knew')
      await this.venueClock.look(patient(live, limits.callMs, venue))
    } catch (error) {
      for (const one of [...causes, 'timer' as const]) this.causes.add(one)
      throw error
    }
  }

  /** First the stream, then the questions: what happens in between is told by it. Null: it is about to be up. */
  private async hearing(): Promise<Venue | null> {
    const { live, name, limits } = this.options
    this.venue ??= await bounded(live, limits.callMs, live.venues.get(name.exchange, name.mode))
    this.ear.listen(this.venue)
    if (this.venue.features.barStream) {
      this.ear.watch(await tradedSymbols(live.db.reader, name.exchange, name.mode))
    }
    const waits = this.ear.wanted() && !this.ear.up() && !this.isLost()
    return waits && this.causes.has('start') ? null : this.venue
  }

  /** The first cause that wants a reconciliation now; null: none. */
  private due(now: number): Cause | null {
    const { limits } = this.options
    for (const cause of ['start', 'reconnect', 'request'] as const) if (this.causes.has(cause)) return cause
    const every = this.ear.up() ? limits.reconcileMs : limits.pollMs
    return now >= this.recheckAt || apart(now, this.checkedAt) >= every || this.causes.has('timer') ? 'timer' : null
  }

  private async failed(error: unknown, now: number): Promise<void> {
    if (error instanceof NotItsKeeper) throw error
    const { live, name, limits } = this.options
    this.failures += 1
    this.failingSince ??= now
    const { kind, retryAfterMs } = error instanceof VenueError ? error : { kind: null, retryAfterMs: null }
    const { firstMs, mostMs, refusedMostMs } = limits.backoff
    const most = kind === 'unauthorised' ? refusedMostMs : mostMs
    const wait = Math.max(retryAfterMs ?? 0, Math.min(most, firstMs * 2 ** Math.min(this.failures - 1, 20)))
    this.retryAt = now + wait
    this.failedAt = now
    const message = error instanceof Error ? error.message : String(error)
    live.log('warn', { err: error, account: labelOf(name), retry_in_ms: wait }, 'the account cannot be checked')
    if (kind === 'unauthorised') {
      await this.ear.close()
      this.venue = null
      await this.setState('refused', message)
    } else if (now - this.failingSince >= limits.downMs || this.checkedAt === Number.NEGATIVE_INFINITY) {
      await this.setState('unknown', `it cannot be checked: ${message}`)
    }
  }

  /** The stream is down for too long for orders to leave, and not for so long that polls stand in for it. */
  private isLost(): boolean {
    return !this.isPolled() && this.ear.downFor(this.options.limits.downMs, this.startedAt)
  }

  private isPolled(): boolean {
    return !this.ear.wanted() || this.ear.downFor(this.options.limits.aloneMs, this.startedAt)
  }

  private streamIsDown(): string {
    return `its stream of order updates is down: ${this.ear.reason()}`
  }

  private async setState(state: AccountRow['state'], reason: string): Promise<void> {
    const { live, name } = this.options
    await live.db.write(async (tx) => {
      const row = await lockAccount(tx, name)
      if (row === null || row.keeper !== this.keeper) return
      if (row.state === state && row.state_reason === reason) return
      const stream = this.isPolled() ? 'none' : this.ear.up() ? 'up' : 'down'
      await live.record(tx, stateOutcome(live, { ...row, state, state_reason: reason, stream }))
    })
  }
}

const labelOf = ({ exchange, mode }: AccountName) => `${exchange} ${mode}`

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

function patient(live: Live, mostMs: number, venue: Venue): AskedVenue & Pick<Venue, 'time'> {
  const wait = <T>(work: Promise<T>) => bounded(live, mostMs, work)
  return {
    account: () => wait(venue.account()),
    positions: () => wait(venue.positions()),
    orders: (which) => wait(venue.orders(which)),
    executions: (since) => wait(venue.executions(since)),
    orderByClientId: (id) => wait(venue.orderByClientId(id)),
    orderById: (id) => wait(venue.orderById(id)),
    time: () => wait(venue.time()),
  }
}

function newAccount({ exchange, mode }: AccountName): AccountRow {
  return {
    exchange,
    mode,
    account_number: null,
    number_since: null,
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
