/**
 * Makes a run's rows again from the log and holds them against the stored ones. One transaction a run: what is reported is
 * what is replaced. Rows go to temporary tables in batches, so memory holds open orders and a page of the log.
 */
import type { Database, Reader, WriteTx } from '../../db/database.ts'
import type { LogEvent } from '../../db/events/envelope.ts'
import type { EventType } from '../../db/events/registry.ts'
import { MisfitEvent, readRunLog } from '../../db/events/run_log.ts'
import { decisionOf, isOnlyInRow } from '../../db/walle/projections/decisions.ts'
import { fillOf, isFillEvent } from '../../db/walle/projections/fills.ts'
import { evolveOrder, isOrderEvent, type OrderEvent } from '../../db/walle/projections/orders.ts'
import { evolveRun, type RunState } from '../../db/walle/projections/runs.ts'
import { listPositions } from '../../db/walle/queries/results.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import {
  addRebuilt,
  compareRebuilt,
  keepDecisions,
  keepStored,
  openRebuilt,
  type RebuiltName,
  type TableReport,
} from '../../db/walle/rebuild.ts'
import { record } from '../../db/walle/record.ts'
import type { DecisionRow, FillRow, OrderRow, RunRow } from '../../db/walle/rows.ts'
import { createRunDataCache, DataRevised } from '../backtest/run_data.ts'
import { DomainError } from '../glados/errors.ts'
import { createLiveAccount } from '../live/account.ts'
import { isWindowEvent, readWindows } from '../live/view.ts'
import { type AccountProjection, createAccountProjection } from './account_projection.ts'

export interface RunRebuild {
  run_id: string
  /** Events that went into it. */
  events: number
  tables: TableReport[]
  /** What of the run this log cannot tell, and why; it was neither compared nor replaced. */
  left_out: string[]
  /** Rows that were put in the place of others. */
  swapped: number
}

export interface RebuildOptions {
  swap: boolean
  /** Differences that are named per table. */
  most: number
  /** Before anything is replaced. */
  onReport: (report: RunRebuild) => void
}

export interface RebuildDependencies {
  db: Pick<Database, 'write'>
  now: () => number
  newId: () => string
}

const PAGE = 2_000
/** Windows are up to 100 KB each. */
const LIVE_PAGE = 200
const TYPES: readonly EventType[] = [
  ...(['run.Created', 'run.Started', 'run.StopRequested', 'run.Stopped', 'run.Completed', 'run.Error'] as const),
  ...(['run.Progressed', 'strategy.DecisionMade', 'orders.Created', 'orders.Submitted', 'orders.Accepted'] as const),
  'orders.Replaced',
  ...(['orders.PartiallyFilled', 'orders.Filled', 'orders.Cancelled', 'orders.Expired', 'orders.Rejected'] as const),
]

/** When a paper or live run saw which bars, and what it came to hold without an order. */
const LIVE_TYPES: readonly EventType[] = [
  ...TYPES,
  ...(['clock.Tick', 'data.WindowReady', 'data.WindowComplete', 'account.PositionAttributed'] as const),
]

/** Live, paper and `full` runs leave everything in the log. */
export function isRebuildable(run: Pick<RunRow, 'mode' | 'audit'>): boolean {
  return run.mode !== 'backtest' || run.audit === 'full'
}

/** The run's rows, as far as its log tells them. */
export async function rebuildRun(
  { db, now, newId }: RebuildDependencies,
  run: RunRow,
  options: RebuildOptions,
): Promise<RunRebuild> {
  return db.write(async (tx) => {
    await openRebuilt(tx)
    const made = await remake(tx, run)
    const tables = await compareRebuilt(tx, run.id, options.most)
    const rows = tables.reduce((sum, table) => sum + table.total, 0)
    const report: RunRebuild = { run_id: run.id, events: made.events, tables, left_out: made.leftOut, swapped: 0 }
    options.onReport(report)
    if (!options.swap || rows === 0) return report
    if (made.status === 'running') throw whileRunning(run)
    await record(tx, {
      writes: [{ kind: 'swap_rebuilt', run_id: run.id }],
      events: [
        {
          ...{ id: newId(), type: 'run.Rebuilt', run_id: run.id, corr_id: newId(), causation_id: null },
          ...{ ts: new Date(now()).toISOString(), producer: 'walle', payload: { run_id: run.id, rows } },
        },
      ],
    })
    return { ...report, swapped: rows }
  })
}

export function whileRunning({ id }: Pick<RunRow, 'id'>): DomainError {
  return new DomainError('CONFLICT', `the run ${id} is running: its rows are replaced only after its end`)
}

/** Reads most of the log beside the run, and what is left while nobody writes: a running run waits only for that. */
async function remake(tx: WriteTx, run: RunRow) {
  const rows = await openRows(tx, run)
  try {
    const place = await readOn(tx, run.id, '0', rows)
    const locked = await lockRun(tx, run.id)
    if (!locked) throw new DomainError('NOT_FOUND', `the run ${run.id} was deleted meanwhile`)
    await readOn(tx, run.id, place, rows)
    await rows.end(locked)
    return { events: rows.events, leftOut: rows.leftOut, status: locked.status }
  } catch (error) {
    if (!(error instanceof MisfitEvent)) throw error
    for (const name of ALL) await keepStored(tx, name, run.id)
    const leftOut = [`all of it: ${error.message}`]
    return { events: rows.events, leftOut, status: run.status }
  }
}

const ALL: readonly RebuiltName[] = ['orders', 'fills', 'trades', 'decisions', 'positions', 'runs']

/** Gives the place of the last event read. */
async function readOn(tx: Reader, runId: string, from: string, rows: Rows): Promise<string> {
  let after = from
  for (;;) {
    const { events, last } = await readRunLog(tx, runId, { types: rows.types, after, limit: rows.page })
    for (const event of events) await rows.apply(event)
    await rows.flush()
    after = last ?? after
    if (events.length < rows.page) return after
  }
}

interface Rows {
  events: number
  leftOut: string[]
  types: readonly EventType[]
  /** So many events are read at once. */
  page: number
  apply(event: LogEvent): Promise<void>
  /** Hands over what is complete. */
  flush(): Promise<void>
  end(run: RunRow): Promise<void>
}

async function openRows(tx: WriteTx, run: RunRow): Promise<Rows> {
  const open = new Map<string, OrderRow>()
  const live = run.mode === 'backtest' ? null : createLiveAccount(run)
  let state: RunState | null = null
  let ended: OrderRow[] = []
  let fills: FillRow[] = []
  let decisions: DecisionRow[] = []
  const onlyInRow: string[] = []
  const account = live ?? (await openAccount(tx, run))
  const leftOut = 'why' in account ? [account.why] : []
  const projection = 'why' in account ? null : account

  const applyOrder = (event: OrderEvent): void => {
    const { order_id } = event.payload
    const row = evolveOrder(open.get(order_id) ?? null, event)
    if (row === null) return
    // Of an order that has ended nothing becomes any more, but that a venue may tell of a fill later.
    if (row.closed_at === null || live !== null) open.set(order_id, row)
    else {
      open.delete(order_id)
      ended.push(row)
    }
    if (isFillEvent(event)) fills.push(fillOf(event))
    projection?.apply(event)
    if (row.closed_at !== null) live?.ended(order_id)
  }

  const rows: Rows = {
    events: 0,
    leftOut,
    types: live === null ? TYPES : LIVE_TYPES,
    page: live === null ? PAGE : LIVE_PAGE,
    async apply(event) {
      rows.events += 1
      if (live !== null) live.hear(event, isWindowEvent(event) ? await readWindows(tx, event, { again: true }) : null)
      if (isOrderEvent(event)) applyOrder(event)
      else if (event.type.startsWith('run.')) state = evolveRun(state, event)
      else if (event.type !== 'strategy.DecisionMade') return
      else {
        const decision = decisionOf(event)
        if (decision !== null) decisions.push(decision)
        if (decision !== null && isOnlyInRow(event)) onlyInRow.push(event.id)
      }
    },
    async flush() {
      await addRebuilt(tx, 'orders', ended)
      await addRebuilt(tx, 'fills', fills)
      await addRebuilt(tx, 'decisions', decisions)
      await addRebuilt(tx, 'trades', projection?.takeTrades() ?? [])
      ended = []
      fills = []
      decisions = []
    },
    async end(locked) {
      if (state === null) throw new MisfitEvent('its beginning is not in the log any more')
      ended.push(...open.values())
      projection?.end(locked.ticks_total !== null && locked.next_tick === locked.ticks_total)
      await rows.flush()
      await addRebuilt(tx, 'positions', projection === null ? [] : await positionsOf(tx, run.id, projection))
      await addRebuilt(tx, 'runs', [state])
      if (projection === null) for (const name of ['trades', 'positions'] as const) await keepStored(tx, name, run.id)
      const lost = await keepDecisions(tx, onlyInRow)
      leftOut.push(...lost.map((id) => `decision ${id}: too large for its event, and its row is gone`))
    },
  }
  return rows
}

/** Of symbols that were never traded there is a row only where the run came so far as to store one. */
async function positionsOf(tx: Reader, runId: string, projection: AccountProjection) {
  const stored = new Set((await listPositions(tx, runId)).map(({ symbol }) => symbol))
  return projection.positions().filter(({ symbol, qty, realised_pnl }) => {
    return stored.has(symbol) || qty !== '0' || realised_pnl !== '0'
  })
}

/** Trades and positions need the run's bars. */
async function openAccount(tx: Reader, run: RunRow): Promise<AccountProjection | { why: string }> {
  try {
    return createAccountProjection(run, await createRunDataCache(tx)(run))
  } catch (error) {
    if (!(error instanceof DataRevised)) throw error
    return { why: `trades and positions: ${error.message}` }
  }
}
