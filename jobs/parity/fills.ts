/**
 * What became of each order of a paper or live run, held against what the fill model makes of it on the recorded bars. Pure.
 */

import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import { firstAtOrAfter } from '../../db/walle/candle_columns.ts'
import type { ParityResult } from '../../db/walle/parity_rows.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { type PlaceIntent, TIMEFRAME_MS } from '../../strategies/api.ts'
import { BASIS_POINT, Decimal, ZERO } from '../greta/decimals.ts'
import { isByHand } from '../marvin/contract.ts'
import { type BoundParts, type Models, modelsOf } from './bounds.ts'
import { barAt, type ModelEnd } from './model.ts'
import { type OrderStory, orderDifference, termsOf } from './orders.ts'
import type { Found } from './parity.ts'

export interface JudgeParts extends BoundParts {
  /** Boundary of the newest tick. */
  through: number
  /** By order id: why it was to be cancelled. */
  cancelReasons: ReadonlyMap<string, string>
  report: (found: Found) => void
}

/** Of all orders together. */
export interface Judged {
  slippage: ParityResult['slippage']
  unjudged: number
}

export async function judgeOrders(stories: readonly OrderStory[], parts: JudgeParts): Promise<Judged> {
  const costs: Slipped[] = []
  let unjudged = 0
  for (const story of stories) {
    const judged = await judge(story, parts)
    const breath = parts.breathe()
    if (breath !== null) await breath
    if (judged === 'unknown') unjudged += 1
    else if (judged !== null) costs.push(judged)
  }
  const bps = costs.map((one) => one.bps)
  return {
    slippage: {
      orders: costs.length,
      mean_bps: bps.length === 0 ? null : bps.reduce((sum, one) => sum + one, 0) / bps.length,
      max_bps: bps.length === 0 ? null : Math.max(...bps),
      cost: costs.reduce((sum, { cost }) => sum.plus(cost), ZERO).toString(),
    },
    unjudged,
  }
}

interface Slipped {
  bps: number
  cost: Decimal
}

/** `unknown`: the bars do not reach far enough. Null: there is nothing to measure. */
async function judge(story: OrderStory, parts: JudgeParts): Promise<Slipped | 'unknown' | null> {
  const { intent, order_id } = story
  if (order_id === null || sameRefusal(story, parts) || !parts.run.symbols.includes(intent.symbol)) return null
  if (story.replaced !== null) {
    tellReplaced(story, story.replaced, parts)
    return null
  }
  const filled = story.fills.reduce((sum, { event }) => sum.plus(event.payload.qty), ZERO)
  // That a person asked for it is told; why they did not get it says nothing of the run.
  if (isByHand(story) && filled.lt(intent.qty)) return null
  const models = await modelsOf(story, parts)
  if (story.rejected !== null) {
    tellRejected(story, story.rejected, models, parts)
    return null
  }
  if (filled.eq(intent.qty)) return judgeFilled(story, models, parts)
  return judgeUnfilled(story, models, filled, parts)
}

/** From then on it was another order than was asked for: what the model would have made of that says nothing of it. */
function tellReplaced(
  story: OrderStory,
  { place, terms }: NonNullable<OrderStory['replaced']>,
  parts: JudgeParts,
): void {
  const { intent } = story
  const cause = 'the order was changed at the venue, by somebody else'
  const expected = termsOf({ ...intent, price: intent.limit_price })
  parts.report({ ...orderDifference(story, place, 'replaced', cause), recorded: terms, expected })
}

function tellRejected(
  story: OrderStory,
  rejected: NonNullable<OrderStory['rejected']>,
  { nominal }: Models,
  { run, report }: JudgeParts,
): void {
  const { place, why } = story.end as NonNullable<OrderStory['end']>
  const recorded = `rejected: ${why}`
  if (story.exit !== null) {
    const cause = `an exit that protects a position was refused: ${why}`
    report({ ...orderDifference(story, place, 'exit_rejected', cause), recorded, expected: 'accepted' })
  } else if (!isRefusedEither(rejected, nominal, run)) {
    const cause = `the order was refused: ${why}`
    const expected = toldModel(nominal)
    report({ ...orderDifference(story, place, refusedBy(rejected), cause), recorded, expected })
  }
}

/** Whether a refusal, or that there was none, is what every mode's rules say; tells where it is not. */
function sameRefusal(story: OrderStory, { report }: JudgeParts): boolean {
  const { refusal, rejected } = story
  if (refusal === null) return false
  const same = rejected?.reason === refusal.reason && rejected.rule === refusal.rule
  // After too large a loss the run is halted: the same limit, under another name.
  if (same || (refusal.reason === 'risk' && rejected?.reason === 'halt')) return true
  const words = refusal.rule === null ? refusal.reason : `${refusal.reason}: ${refusal.rule}`
  const recorded = rejected === null ? 'accepted' : `rejected: ${rejected.reason}`
  const cause = 'the rules of every mode refuse this order for another reason'
  report({ ...orderDifference(story, story.place, 'risk', cause), recorded, expected: `rejected: ${words}` })
  return true
}

/** By a rule of the fill model as well; what the run has not got, cash or what it would sell, a backtest says when the order would fill. */
function isRefusedEither({ reason }: NonNullable<OrderStory['rejected']>, nominal: ModelEnd, run: RunRow): boolean {
  if (nominal.status === 'rejected' || reason === 'insufficient_buying_power') return true
  return reason === 'short_not_allowed' && run.fill.allow_short !== true
}

function refusedBy({ reason }: NonNullable<OrderStory['rejected']>): string {
  return reason === 'halt' || reason === 'risk' || reason === 'run_ended' ? reason : 'rejected'
}

function judgeFilled(
  story: OrderStory,
  { nominal, easy, hard }: Models,
  parts: JudgeParts,
): Slipped | 'unknown' | null {
  const { intent } = story
  const last = story.fills.at(-1) as OrderStory['fills'][number]
  const { filled_avg_price, timestamp } = last.event.payload
  const price = new Decimal(filled_avg_price)
  const { run, report } = parts
  const frame = TIMEFRAME_MS[run.timeframe]
  const barTime = Math.floor(Date.parse(timestamp) / frame) * frame
  const bars = parts.bars(intent.symbol)
  const fillDifference = (what: string, cause: string) =>
    report({
      ...orderDifference(story, last.place, what, cause),
      ...{ class: 'fill', ts: timestamp, recorded: `filled ${intent.qty} at ${filled_avg_price}, ${timestamp}` },
      expected: toldModel(nominal),
    })
  if (easy.bar === null) {
    if (easy.open && (barTime + frame > parts.through || barAt(bars, barTime) < 0)) return 'unknown'
    fillDifference('not_in_model', 'the venue filled what the model does not fill on these bars')
    return null
  }
  // A quote may be taken in a minute of which nothing traded makes a bar.
  const early = barTime < easy.bar && barAt(bars, barTime) >= 0
  const lateBy = hard.bar !== null && barTime > hard.bar
  if (early || lateBy) {
    fillDifference('bar', `the venue filled it in another bar, ${lateBy ? 'later' : 'earlier'} than the model`)
    return null
  }
  const beside = nominal.bar?.time === barTime ? nominal.price : null
  if (!isNear(price, beside, barTime, intent, parts)) {
    const bps = parts.toleranceBps
    fillDifference('price', `the price is further from the model's than ${bps} bps, and outside of the bar`)
  }
  return beside === null ? null : slippage(intent, price, beside)
}

/** What a coin costs more at the ask, or brings less at the bid, than what trades make a bar of. */
const HALF_SPREAD_BPS = 20
const TAKERS: readonly PlaceIntent['order_type'][] = ['market', 'stop', 'trailing_stop']

/**
 * By the tolerance from the model's price, or within its bar widened by the tolerance; where nothing traded, within the bars
 * around that.
 */
function isNear(
  price: Decimal,
  model: Decimal | null,
  barTime: number,
  { symbol, order_type }: PlaceIntent,
  { bars, toleranceBps }: JudgeParts,
): boolean {
  const spread = TAKERS.includes(order_type) && tradesAroundTheClock(symbol) ? HALF_SPREAD_BPS : 0
  const share = new Decimal(String(toleranceBps)).times(BASIS_POINT)
  if (model !== null && price.minus(model).abs().lte(model.times(share))) return true
  const { time, low, high } = bars(symbol)
  const next = firstAtOrAfter(time, barTime)
  const around = (time[next] === barTime ? [next] : [next - 1, next]).filter((index) => index in time)
  if (around.length === 0) return true
  const wide = share.plus(new Decimal(spread).times(BASIS_POINT))
  const lowest = new Decimal(String(Math.min(...around.map((index) => low[index] as number))))
  const highest = new Decimal(String(Math.max(...around.map((index) => high[index] as number))))
  return price.gte(lowest.times(new Decimal(1).minus(wide))) && price.lte(highest.times(wide.plus(1)))
}

function slippage({ side, qty }: PlaceIntent, price: Decimal, model: Decimal): Slipped {
  const worse = side === 'buy' ? price.minus(model) : model.minus(price)
  return { bps: Number(worse.div(model).div(BASIS_POINT).toString()), cost: worse.times(qty) }
}

/** What was not filled, or not all of it: the bars fill it surely, and in time? And who ended it? */
function judgeUnfilled(
  story: OrderStory,
  { hard, nominal }: Models,
  filled: Decimal,
  parts: JudgeParts,
): 'unknown' | null {
  const { run, report, through, cancelReasons } = parts
  const { end, intent } = story
  const surely = hard.bar !== null && hard.bar + TIMEFRAME_MS[run.timeframe] <= (end?.at ?? through)
  const place = end?.place ?? story.fills.at(-1)?.place ?? story.place
  const ended = end === null ? 'not_filled' : ENDED[end.type]
  const told = {
    recorded: `${end === null ? 'open' : ended}, ${filled} of ${intent.qty} filled`,
    expected: toldModel(nominal),
  }
  const tell = (what: string, cause: string) => report({ ...orderDifference(story, place, what, cause), ...told })
  if (surely && hard.qty.gt(filled)) {
    const why = end === null ? 'it is open still' : end.why
    if (filled.gt(ZERO)) {
      const cause = `the model fills more of it on these bars: ${why}`
      report({ ...orderDifference(story, place, 'partial', cause), class: 'fill', ...told })
    } else tell(ended, `the model fills it on these bars: ${why}`)
    return null
  }
  if (end === null) return 'unknown'
  // Whatever the bars do later: it was to be there then.
  const reason = cancelReasons.get(story.order_id ?? '')
  if (reason === HALT) tell('halt', 'the order was cancelled by a halt')
  else if (reason === undefined && !endsByItself(story)) {
    tell(ended, `the order ended, and nobody asked for that: ${end.why}`)
  }
  return null
}

/** Why a halt cancels. */
const HALT = 'halt'

const ENDED = { 'orders.Cancelled': 'cancelled', 'orders.Expired': 'expired', 'orders.Rejected': 'rejected' } as const

/** The venue ends it in the course of things. */
function endsByItself({ end, intent: { time_in_force } }: OrderStory): boolean {
  if (end?.type === 'orders.Expired') return time_in_force !== 'gtc'
  return ['ioc', 'fok', 'opg', 'cls'].includes(time_in_force)
}

function toldModel({ status, qty, price, bar }: ModelEnd): string {
  if (price === null || bar === null) return status
  return `${status}: ${qty} at ${price}, in the bar ${new Date(bar.time).toISOString()}`
}
