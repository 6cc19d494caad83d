/** What the fill model makes of one order alone on the bars that a paper or live run recorded. Pure. */
import { firstAtOrAfter } from '../../db/walle/candle_columns.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type OrderStatus, type PlaceIntent, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { BASIS_POINT, Decimal, ZERO } from '../greta/decimals.ts'
import type { FillModel } from '../greta/fill_model.ts'
import { carryOut } from '../greta/placing.ts'
import { advanceBars, markCloses, openSimulation, type Simulation } from '../greta/simulation.ts'
import { matchOpenOrders, openTick, tickEvent } from '../greta/tick_steps.ts'
import type { Breath } from './breath.ts'

export interface ModelOrder {
  intent: PlaceIntent
  /** When it was decided: it meets the bars that open from there on. */
  decidedAt: number
  /** From when on it is cancelled; null: never. */
  cancelledAt: number | null
}

export interface ModelMarket {
  timeframe: Timeframe
  /** Of its symbol. */
  bars: CandleColumns
  model: FillModel
  breathe: Breath
}

export interface ModelEnd {
  status: OrderStatus
  qty: Decimal
  /** Average; null: nothing was filled. */
  price: Decimal | null
  fee: Decimal
  /** The bar in which it was filled last. */
  bar: { time: number; low: number; high: number } | null
}

/** So much that no account stands in the way of one order. */
const CASH = '1000000000000000'

/** The order meets the bars with nothing else in the account, and without the exits that are attached to it. */
export async function playOrder(order: ModelOrder, market: ModelMarket): Promise<ModelEnd> {
  const { decidedAt, cancelledAt } = order
  const intent = alone(order.intent)
  const { bars, timeframe, model, breathe } = market
  const { time } = bars
  const frame = TIMEFRAME_MS[timeframe]
  const closed = firstAtOrAfter(time, decidedAt - frame + 1)
  const simulation = openSimulation(
    {
      runId: NOBODY,
      symbols: [intent.symbol],
      timeframe,
      initialCash: CASH,
      model: { ...model, allow_short: true, leverage: 1 },
      checkIntent: () => null,
      checkRisk: () => null,
      watchesEquity: false,
    },
    [{ columns: bars, closed }],
    null,
  )
  openTick(simulation, 0, decidedAt)
  advanceBars(simulation, 0)
  markCloses(simulation, 0)
  carryOut(simulation, intent, tickEvent(simulation))
  const isQuiet = quietBars(intent, market)
  const first = firstAtOrAfter(time, decidedAt)
  for (let index = first, tick = 1; index < time.length; index += 1, tick += 1) {
    const ts = (time[index] as number) + frame
    const isLast = cancelledAt !== null && ts >= cancelledAt
    // What the first bar left of it waits in the book.
    if (index > first && !isLast && isQuiet?.(index) === true) continue
    openTick(simulation, tick, ts)
    matchOpenOrders(simulation)
    if (simulation.open.length > 0 && isLast) {
      carryOut(simulation, { kind: 'cancel', client_order_id: intent.client_order_id }, tickEvent(simulation))
    }
    if (simulation.open.length === 0) break
    const breath = breathe()
    if (breath !== null) await breath
  }
  return endOf(simulation, bars)
}

/** Ids of what is made up here lead nowhere. */
const NOBODY = '00000000-0000-0000-0000-000000000000'

/** The trail of what is no trailing stop is that of its exit. */
function alone(intent: PlaceIntent): PlaceIntent {
  const trail = intent.order_type === 'trailing_stop' ? {} : { trail_price: null, trail_percent: null }
  return { ...intent, ...trail, take_profit: null, stop_loss: null }
}

/** Bars that an order which only waits for its price need not meet, of which there may be years. */
function quietBars(intent: PlaceIntent, { bars, model }: ModelMarket): ((index: number) => boolean) | null {
  const { side, order_type, limit_price, stop_price, time_in_force } = intent
  if (time_in_force !== 'gtc' || model.latency_bars > 0 || model.max_volume_share !== null) return null
  const { low, high } = bars
  const price = Number(order_type === 'limit' ? limit_price : stop_price)
  if (order_type !== 'limit' && order_type !== 'stop') return null
  return (side === 'buy') === (order_type === 'limit')
    ? (index) => (low[index] as number) > price
    : (index) => (high[index] as number) < price
}

/** Nothing but the one order is in the simulation. */
function endOf({ produced }: Simulation, bars: CandleColumns): ModelEnd {
  const order = produced.touched.get(0)
  if (order === undefined) throw new Error('the model left no order')
  const fills = produced.fills.filter(({ order_id }) => order_id === order.id)
  const last = fills.at(-1)
  const index = last === undefined ? -1 : barAt(bars, Date.parse(last.timestamp))
  return {
    status: order.status,
    qty: new Decimal(order.filled_qty),
    price: order.filled_avg_price === null ? null : new Decimal(order.filled_avg_price),
    fee: fills.reduce((sum, { fee }) => sum.plus(fee), ZERO),
    bar:
      index < 0
        ? null
        : { time: bars.time[index] as number, low: bars.low[index] as number, high: bars.high[index] as number },
  }
}

/** Its index; -1: none opened then. */
export function barAt({ time }: CandleColumns, openTime: number): number {
  const index = firstAtOrAfter(time, openTime)
  return time[index] === openTime ? index : -1
}

/**
 * The same order, easier to fill (`ease` 1) or harder (-1) by so many basis points of its prices: between the two the bars
 * do not tell what happened.
 */
export function shifted(intent: PlaceIntent, bps: number, ease: 1 | -1): PlaceIntent {
  const away = new Decimal(String(bps)).times(BASIS_POINT)
  const up = intent.side === 'buy' ? ease : -ease
  const moved = (price: string | null, direction: number) =>
    price === null
      ? null
      : new Decimal(price).times(direction > 0 ? away.plus(1) : new Decimal(1).minus(away)).toString()
  return { ...intent, limit_price: moved(intent.limit_price, up), stop_price: moved(intent.stop_price, -up) }
}
