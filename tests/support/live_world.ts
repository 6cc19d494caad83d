/** Paper runs at a scripted venue through the real jobs: a worker's live pools without its clock, whose ticks a test emits. */
import type { Database } from '../../db/database.ts'
import { TASK_NAMES } from '../../db/events/tasks.ts'
import type { AccountRow } from '../../db/walle/live_rows.ts'
import { record } from '../../db/walle/record.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { Handlers } from '../../jobs/attempt.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import type { Live } from '../../jobs/live/live.ts'
import { createAccountPlaces, LIVE_POOLS } from '../../jobs/live/pools.ts'
import { liveHandlers } from '../../jobs/live/worker.ts'
import { startRunner } from '../../jobs/runner.ts'
import { type Reported, recordReport } from '../../jobs/veda/orders/reports.ts'
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import { emitTicks } from './live_run.ts'
import type { ScriptedVenue, VenueUpdate } from './scripted_venue.ts'

export interface LiveWorld {
  live: Live
  /** Closes of the bars up to the one that closes at the boundary of tick `barIndex`, which is the newest. */
  bars(symbol: string, closes: number[], barIndex: number): void
  /** The ticks of the runs, in one transaction, and what they set off. */
  tick(runs: readonly RunRow[], barIndex: number): Promise<void>
  /** The venue tells of an order. */
  report(update: Partial<VenueUpdate>): Promise<Reported>
  stop(): Promise<void>
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const BEHIND_MS = 12 * HOUR

export interface LiveWorldOptions {
  url: string
  db: Database
  venue: ScriptedVenue
  /** Of other exchanges. */
  others?: readonly ScriptedVenue[]
  hop: Live['hop']
  onError?: (message: string) => void
}

export async function openLiveWorld(options: LiveWorldOptions): Promise<LiveWorld> {
  const { url, db, venue, others = [], hop, onError = () => {} } = options
  // Tick 0 was hours ago, at a full hour, and the clock of the runs jumps to the boundary of each tick: never before the database's own.
  const start = Math.floor(Date.now() / HOUR) * HOUR - BEHIND_MS
  let ahead = start - Date.now()
  const live: Live = {
    ...wallClock,
    db,
    record: async (tx, outcome) => {
      await record(tx, outcome)
    },
    venues: {
      get: async (exchange) => others.find((other) => other.exchange === exchange) ?? venue,
      configured: () => [],
      known: () => [],
      close: async () => {},
    },
    hop,
    isHalted: async () => false,
    now: () => Date.now() + ahead,
    log: (level, fields, message) => {
      if (level !== 'info') onError(`${message} ${JSON.stringify(fields)}`)
    },
  }
  const account = { exchange: venue.exchange, mode: venue.mode }
  const rows = [venue, ...others].map(readyAccount)
  await db.write((tx) => record(tx, { writes: [{ kind: 'save_accounts', rows }], events: [] }))
  const none = async () => {
    throw new Error('only the jobs of live runs are worked on here')
  }
  const places = createAccountPlaces(live)
  const unused = Object.fromEntries(TASK_NAMES.map((task) => [task, none]))
  const handlers = { ...unused, ...liveHandlers(live, places) } as Handlers
  const runner = await startRunner({
    url,
    db,
    handlers,
    pools: LIVE_POOLS,
    passedOver: places.full,
    log: (level, message) => {
      if (level === 'error' || level === 'warning') onError(message)
    },
    onFatal: (error) => onError(error.message),
    ...{ now: wallClock.now, newId: wallClock.newId, sleep: wallClock.sleep, strategyTimeoutMs: 0 },
    process: { pid: process.pid, host: 'test' },
  })
  return {
    live,
    bars(symbol, closes, barIndex) {
      const newest = start + (barIndex - 1) * MINUTE
      const bars = closes.map((close, index) => {
        const text = String(close)
        const time = newest - (closes.length - 1 - index) * MINUTE
        return { time, open: text, high: text, low: text, close: text, volume: '1', trade_count: null }
      })
      venue.setBars(symbol, bars)
    },
    async tick(runs, barIndex) {
      const at = start + barIndex * TIMEFRAME_MS['1m']
      ahead = Math.max(ahead, at - Date.now())
      await emitTicks(db, runs, barIndex, { at, route: true })
    },
    report: (update) => recordReport(live, { ...account, source: 'stream', order: null, execution: null, ...update }),
    stop: () => runner.stop(),
  }
}

function readyAccount({ exchange, mode }: ScriptedVenue): AccountRow {
  return {
    ...{
      exchange,
      mode,
      account_number: 'S1',
      number_since: null,
      currency: 'USD',
      cash: '0',
      equity: '0',
      buying_power: '0',
    },
    ...{ state: 'ready', state_reason: null, blocked: null, keeper: 'test', stream: 'up' },
    ...{ checked_at: null, reconciled_at: null, reconcile_requested_at: null },
  }
}
