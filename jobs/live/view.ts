/** What a strategy's context reads in a paper or live run: its account as booked, the windows as they lie in the log. */
import type { Reader } from '../../db/database.ts'
import type { LogEvent } from '../../db/events/envelope.ts'
import { listSiblings } from '../../db/events/read.ts'
import { isOrderEvent, type OrderEvent } from '../../db/walle/projections/orders.ts'
import { getRunLedger } from '../../db/walle/queries/live_runs.ts'
import { getOrderWithParent, listOpenWithParents, type OrderWithParent } from '../../db/walle/queries/live_views.ts'
import { listPositions } from '../../db/walle/queries/results.ts'
import { readSeries } from '../../db/walle/queries/series.ts'
import type { CandleColumns, PositionRow, RunRow } from '../../db/walle/rows.ts'
import type { OrderView, PositionView, Timeframe } from '../../strategies/api.ts'
import { specOf } from '../backtest/jobs.ts'
import { type AppliedSplit, splitsOf } from '../greta/splits.ts'
import type { HopView } from '../hosts/hop_view.ts'
import { equityAt, type LiveCheckpoint, type LiveTick } from './ticks.ts'

export type WindowEvent = Extract<LogEvent, { type: 'data.WindowReady' | 'data.WindowComplete' }>

export function isWindowEvent(event: LogEvent): event is WindowEvent {
  return event.type === 'data.WindowReady' || event.type === 'data.WindowComplete'
}

export interface Account {
  cash: string
  positions: PositionRow[]
  orders: OrderWithParent[]
  /** That were applied to what it holds. */
  splits: readonly AppliedSplit[]
}

export async function readAccount(reader: Reader, run: RunRow): Promise<Account> {
  const [ledger, positions, orders] = await Promise.all([
    getRunLedger(reader, run.id),
    listPositions(reader, run.id),
    listOpenWithParents(reader, run.id),
  ])
  return { cash: ledger?.cash ?? run.initial_cash, positions, orders, splits: splitsOf(ledger) }
}

interface Shown extends Pick<HopView, 'phase' | 'changed' | 'windows'> {
  tick: LiveTick
}

export function viewOf(
  run: RunRow,
  { memory, newest }: LiveCheckpoint,
  account: Account,
  { phase, tick, changed, windows }: Shown,
): HopView {
  return {
    spec: specOf(run),
    phase,
    ts: tick.ts,
    bar_index: tick.bar_index,
    memory,
    cash: account.cash,
    equity: equityAt(account, newest).equity,
    positions: run.symbols.map((symbol) => positionView(account.positions.find((one) => one.symbol === symbol))),
    open_orders: account.orders.map(orderView),
    changed,
    windows,
  }
}

function positionView(row: PositionRow | undefined): PositionView {
  return row === undefined || row.qty === '0'
    ? { qty: '0', avg_price: '0' }
    : { qty: row.qty, avg_price: row.avg_price }
}

function orderView(order: OrderWithParent): OrderView {
  return {
    id: order.client_order_id,
    symbol: order.symbol,
    side: order.side,
    type: order.order_type,
    qty: order.qty,
    limit_price: order.price,
    stop_price: order.stop_price,
    time_in_force: order.time_in_force,
    status: order.status,
    filled_qty: order.filled_qty,
    filled_avg_price: order.filled_avg_price,
    parent_id: order.parent_client_order_id,
    reject_reason: order.reject_reason,
  }
}

export async function heardOrder(reader: Reader, event: LogEvent): Promise<OrderView[]> {
  if (!isOrderEvent(event)) return []
  const order = await getOrderWithParent(reader, event.payload.order_id)
  return order === null ? [] : [heardView(order, event)]
}

/** The order that an event tells of, as it was at that event: it may have gone on since. */
export function heardView(order: OrderWithParent, event: OrderEvent): OrderView {
  const view = orderView(order)
  switch (event.type) {
    case 'orders.Accepted':
      return { ...view, status: 'accepted', filled_qty: '0', filled_avg_price: null }
    case 'orders.Replaced': {
      const { qty, price: limit_price, stop_price, time_in_force, filled_qty, filled_avg_price } = event.payload
      const status = filled_qty === '0' ? 'accepted' : 'partial'
      return { ...view, qty, limit_price, stop_price, time_in_force, status, filled_qty, filled_avg_price }
    }
    case 'orders.PartiallyFilled':
    case 'orders.Filled': {
      const { filled_qty, filled_avg_price } = event.payload
      return { ...view, status: event.type === 'orders.Filled' ? 'filled' : 'partial', filled_qty, filled_avg_price }
    }
    default:
      return view
  }
}

export interface ReadWindows {
  shown: HopView['windows']
  /** How many events they took. */
  events: number
}

/** Before the first windows came. */
export function emptyWindows({ symbols, timeframe }: RunRow): ReadWindows {
  return { shown: symbols.map((symbol) => ({ symbol, timeframe, columns: emptyColumns(0) })), events: 0 }
}

/**
 * `again`: they were seen before. Bars by reference that were added or taken away since then are shown as they are now;
 * before, that is an error, and another look may find them whole.
 */
export async function readWindows(reader: Reader, event: WindowEvent, { again = false } = {}): Promise<ReadWindows> {
  if (event.type === 'data.WindowComplete') return readParts(reader, event)
  const shown: HopView['windows'] = []
  for (const { symbol, timeframe, bars, columns, data_ref } of event.payload.windows) {
    if (columns === null && data_ref === null)
      throw new Error(`The window ${symbol} ${timeframe} of ${event.id} is empty`)
    const read =
      columns === null ? await readReference(reader, data_ref as DataRef, again ? null : bars) : floats(columns)
    shown.push({ symbol, timeframe, columns: read })
  }
  return { shown, events: 1 }
}

type DataRef = { symbol: string; timeframe: Timeframe; from: string; to: string }

async function readReference(reader: Reader, { symbol, timeframe, from, to }: DataRef, bars: number | null) {
  const range = { from: Date.parse(from), to: Date.parse(to) + 1, warmupBars: 0 }
  const { columns } = await readSeries(reader, { symbol, timeframe, ...range })
  if (bars !== null && columns.time.length !== bars) {
    throw new Error(`${bars} bars of ${symbol} ${timeframe} were told of, ${columns.time.length} are stored`)
  }
  return columns
}

const NAMES = ['time', 'open', 'high', 'low', 'close', 'volume'] as const

function emptyColumns(length: number): CandleColumns {
  const column = () => new Float64Array(length)
  return { time: column(), open: column(), high: column(), low: column(), close: column(), volume: column() }
}

function floats(columns: Record<keyof CandleColumns, readonly number[]>): CandleColumns {
  const read = emptyColumns(columns.time.length)
  for (const name of NAMES) read[name].set(columns[name])
  return read
}

/** Puts the parts together: each window's pieces follow one another, the first at 0. */
async function readParts(
  reader: Reader,
  event: Extract<WindowEvent, { type: 'data.WindowComplete' }>,
): Promise<ReadWindows> {
  const { parts, windows } = event.payload
  const shown = windows.map(({ symbol, timeframe, bars }) => ({ symbol, timeframe, columns: emptyColumns(bars) }))
  const filled = shown.filter(({ columns }) => columns.time.length > 0)
  const chunks = await listSiblings(reader, event, 'data.WindowChunk')
  if (chunks.length !== parts)
    throw new Error(`${parts} parts of the windows ${event.id} were told, ${chunks.length} are there`)
  let window = -1
  for (const piece of chunks.flatMap(({ payload }) => payload.windows)) {
    if (piece.offset === 0) window += 1
    const into = filled[window]?.columns
    if (into === undefined) throw new Error(`The windows ${event.id} have a piece of ${piece.symbol} too many`)
    for (const name of NAMES) into[name].set(piece.columns[name], piece.offset)
  }
  return { shown, events: parts + 1 }
}
