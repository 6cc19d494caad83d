/** What the fill model makes of one order alone on the bars that a paper or live run recorded. Pure. */
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type OrderStatus, type PlaceIntent, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { BASIS_POINT, Decimal, ZERO } from '../greta/decimals.ts'
import type { FillModel } from '../greta/fill_model.ts'
import { carryOut } from '../greta/placing.ts'
import { advanceBars, markCloses, openSimulation, type Simulation } from '../greta/simulation.ts'
import { matchOpenOrders, openTick, tickEvent } from '../greta/tick_steps.ts'

export interface ModelOrder {
  intent: PlaceIntent
  /** The boundary at which it was decided. */
  decidedAt: number
  /** The boundary at which its strategy asked to cancel it. */
  cancelledAt: number | null
}

export interface ModelMarket {
  timeframe: Timeframe
  /** Of its symbol. */
  bars: CandleColumns
  model: FillModel
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
export function playOrder({ intent, decidedAt, cancelledAt }: ModelOrder, market: ModelMarket): ModelEnd {
  const simulation = openSimulation(
    {
      runId: NOBODY,
      symbols: [intent.symbol],
      timeframe: market.timeframe,
      initialCash: CASH,
      model: { ...market.model, allow_short: true, leverage: 1 },
      checkIntent: () => null,
      checkRisk: () => null,
      watchesEquity: false,
    },
    [{ columns: market.bars, closed: 0 }],
    null,
  )
  openTick(simulation, 0, decidedAt)
  advanceBars(simulation, 0)
  markCloses(simulation, 0)
  carryOut(simulation, { ...intent, take_profit: null, stop_loss: null }, tickEvent(simulation))
  const { time } = market.bars
  const from = time.findIndex((open) => open >= decidedAt)
  for (let index = from < 0 ? time.length : from, tick = 1; index < time.length; index += 1, tick += 1) {
    const ts = (time[index] as number) + TIMEFRAME_MS[market.timeframe]
    openTick(simulation, tick, ts)
    matchOpenOrders(simulation)
    if (simulation.open.length > 0 && cancelledAt !== null && ts >= cancelledAt) {
      carryOut(simulation, { kind: 'cancel', client_order_id: intent.client_order_id }, tickEvent(simulation))
    }
    if (simulation.open.length === 0) break
  }
  return endOf(simulation, market.bars)
}

/** Ids of what is made up here lead nowhere. */
const NOBODY = '00000000-0000-0000-0000-000000000000'

function endOf({ produced }: Simulation, bars: CandleColumns): ModelEnd {
  const order = produced.touched.get(0)
  if (order === undefined) throw new Error('the model left no order')
  const last = produced.fills.at(-1)
  const index = last === undefined ? -1 : bars.time.indexOf(Date.parse(last.timestamp))
  return {
    status: order.status,
    qty: new Decimal(order.filled_qty),
    price: order.filled_avg_price === null ? null : new Decimal(order.filled_avg_price),
    fee: produced.fills.reduce((sum, { fee }) => sum.plus(fee), ZERO),
    bar:
      index < 0
        ? null
        : { time: bars.time[index] as number, low: bars.low[index] as number, high: bars.high[index] as number },
  }
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
