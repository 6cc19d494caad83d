/**
 * What became of each order of a paper or live run, held against what the fill model makes of it on the recorded bars,
 * against what the venue reported, and against what its venue says that it charges. Pure.
 */
import { isOpen } from '../../db/events/order_state.ts'
import type { ParityResult } from '../../db/walle/parity_rows.ts'
import type { FillEvent } from '../../db/walle/projections/fills.ts'
import type { VenueSaid } from '../../db/walle/queries/parity.ts'
import type { CandleColumns, FillRow, RunRow } from '../../db/walle/rows.ts'
import { type PlaceIntent, TIMEFRAME_MS } from '../../strategies/api.ts'
import { BASIS_POINT, Decimal, ZERO } from '../greta/decimals.ts'
import type { FillModel } from '../greta/fill_model.ts'
import type { FeeBounds } from '../veda/venue.ts'
import { type ModelEnd, playOrder, shifted } from './model.ts'
import { type OrderStory, orderDifference } from './orders.ts'
import type { Found } from './parity.ts'

export interface JudgeParts {
  run: RunRow
  bars: (symbol: string) => CandleColumns
  toleranceBps: number
  /** Boundary of the newest tick. */
  through: number
  /** By order id: why it was to be cancelled. */
  cancelReasons: ReadonlyMap<string, string>
  report: (found: Found) => void
}

/** Of all orders together. */
export interface Judged {
  slippage: ParityResult['slippage']
  modelFees: Decimal
  unjudged: number
}

export function judgeOrders(stories: readonly OrderStory[], parts: JudgeParts): Judged {
  const costs: { bps: number; cost: Decimal }[] = []
  let modelFees = ZERO
  let unjudged = 0
  for (const story of stories) {
    const judged = judge(story, parts)
    if (judged === 'unknown') unjudged += 1
    if (judged === 'unknown' || judged === null) continue
    costs.push(judged)
    modelFees = modelFees.plus(judged.fee)
  }
  const bps = costs.map((one) => one.bps)
  return {
    slippage: {
      orders: costs.length,
      mean_bps: bps.length === 0 ? null : bps.reduce((sum, one) => sum + one, 0) / bps.length,
      max_bps: bps.length === 0 ? null : Math.max(...bps),
      cost: costs.reduce((sum, { cost }) => sum.plus(cost), ZERO).toString(),
    },
    modelFees,
    unjudged,
  }
}

/** The order as the model has it: as it was asked for, and a tolerance easier and harder to fill. */
interface Models {
  nominal: ModelEnd
  easy: ModelEnd
  hard: ModelEnd
}

/** Inside a bar the model knows neither the way of the price nor what followed on what. */
const WAYWARD = ['trailing_stop', 'stop_limit']

interface Slipped {
  bps: number
  cost: Decimal
  fee: Decimal
}

/** `unknown`: the bars do not reach far enough. Null: there is nothing to measure. */
function judge(story: OrderStory, parts: JudgeParts): Slipped | 'unknown' | null {
  const { intent, order_id } = story
  if (intent === null) {
    if (story.isExit && story.rejected !== null) tellRejectedExit(story, parts)
    return null
  }
  if (order_id === null) return null
  if (sameRefusal(story, parts)) return null
  if (!parts.run.symbols.includes(intent.symbol)) return null
  const models = modelsOf(story, intent, parts)
  if (story.rejected !== null) {
    if (isRefusedEither(story.rejected, models.nominal, parts.run)) return null
    const { place, why } = story.end as NonNullable<OrderStory['end']>
    const cause = `the order was refused: ${why}`
    parts.report({
      ...orderDifference(story, place, refusedBy(story.rejected), cause),
      recorded: `rejected: ${why}`,
      expected: toldModel(models.nominal),
    })
    return null
  }
  const filled = story.fills.reduce((sum, { event }) => sum.plus(event.payload.qty), ZERO)
  if (filled.eq(intent.qty)) return judgeFilled(story, intent, models, parts)
  return judgeUnfilled(story, { intent, models, filled }, parts)
}

function tellRejectedExit(story: OrderStory, { report }: JudgeParts): void {
  const { place, why } = story.end as NonNullable<OrderStory['end']>
  const cause = `an exit that protects a position was refused: ${why}`
  report({
    ...orderDifference(story, place, 'exit_rejected', cause),
    recorded: `rejected: ${why}`,
    expected: 'accepted',
  })
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

function modelsOf(story: OrderStory, intent: PlaceIntent, { run, bars, toleranceBps }: JudgeParts): Models {
  const { decidedAt, cancelledAt } = story
  const model = run.fill as unknown as FillModel
  const market = { timeframe: run.timeframe, bars: bars(intent.symbol), model }
  const play = (asked: PlaceIntent, limit_fill: FillModel['limit_fill']) =>
    playOrder({ intent: asked, decidedAt, cancelledAt }, { ...market, model: { ...model, limit_fill } })
  const nominal = play(intent, model.limit_fill)
  if (intent.order_type === 'market') return { nominal, easy: nominal, hard: nominal }
  return {
    nominal,
    easy: play(shifted(intent, toleranceBps, 1), 'touch'),
    hard: play(shifted(intent, toleranceBps, -1), 'penetrate'),
  }
}

function judgeFilled(
  story: OrderStory,
  intent: PlaceIntent,
  { nominal, easy, hard }: Models,
  parts: JudgeParts,
): Slipped | 'unknown' | null {
  const last = story.fills.at(-1) as OrderStory['fills'][number]
  const { filled_avg_price, timestamp } = last.event.payload
  const price = new Decimal(filled_avg_price)
  const { run, report } = parts
  const frame = TIMEFRAME_MS[run.timeframe]
  const barTime = Math.floor(Date.parse(timestamp) / frame) * frame
  const bars = parts.bars(intent.symbol)
  const recorded = `filled ${intent.qty} at ${filled_avg_price}, ${timestamp}`
  const fillDifference = (what: string, cause: string) =>
    report({
      ...orderDifference(story, last.place, what, cause),
      class: 'fill',
      ts: timestamp,
      recorded,
      expected: toldModel(nominal),
    })
  if (easy.bar === null) {
    if (isOpen(easy.status) && barTime + frame > parts.through) return 'unknown'
    if (WAYWARD.includes(intent.order_type)) return 'unknown'
    fillDifference('not_in_model', 'the venue filled what the model does not fill on these bars')
    return null
  }
  // A quote may be taken in a minute of which nothing traded makes a bar.
  const early = barTime < easy.bar.time && bars.time.includes(barTime)
  const lateBy = hard.bar === null ? false : barTime > hard.bar.time
  if (!WAYWARD.includes(intent.order_type) && (early || lateBy)) {
    fillDifference('bar', `the venue filled it in another bar, ${lateBy ? 'later' : 'earlier'} than the model`)
    return null
  }
  if (!isNear(price, nominal.bar?.time === barTime ? nominal : null, bars, barTime, parts.toleranceBps)) {
    fillDifference(
      'price',
      `the price is further from the model's than ${parts.toleranceBps} bps, and outside of the bar`,
    )
  }
  return nominal.price === null || nominal.bar?.time !== barTime
    ? null
    : slippage(intent, price, nominal.price, nominal.fee)
}

/** By the tolerance from the model's price, or within its bar widened by the tolerance. */
function isNear(
  price: Decimal,
  nominal: ModelEnd | null,
  bars: CandleColumns,
  barTime: number,
  toleranceBps: number,
): boolean {
  const share = new Decimal(String(toleranceBps)).times(BASIS_POINT)
  if (nominal?.price && price.minus(nominal.price).abs().lte(nominal.price.times(share))) return true
  const index = bars.time.indexOf(barTime)
  if (index < 0) return true
  const [low, high] = [bars.low[index] as number, bars.high[index] as number]
  return (
    price.gte(new Decimal(String(low)).times(new Decimal(1).minus(share))) &&
    price.lte(new Decimal(String(high)).times(share.plus(1)))
  )
}

function slippage({ side, qty }: PlaceIntent, price: Decimal, model: Decimal, fee: Decimal): Slipped {
  const worse = side === 'buy' ? price.minus(model) : model.minus(price)
  return { bps: Number(worse.div(model).div(BASIS_POINT).toString()), cost: worse.times(qty), fee }
}

interface Unfilled {
  intent: PlaceIntent
  models: Models
  filled: Decimal
}

/** What was not filled, or not all of it: the model fills it surely, and in time? */
function judgeUnfilled(story: OrderStory, { intent, models, filled }: Unfilled, parts: JudgeParts): 'unknown' | null {
  const { hard, nominal } = models
  const { run, report, through } = parts
  const frame = TIMEFRAME_MS[run.timeframe]
  const until = story.end?.at ?? through
  const surely = !WAYWARD.includes(intent.order_type) && hard.bar !== null && hard.bar.time + frame <= until
  const place = story.end?.place ?? story.fills.at(-1)?.place ?? story.place
  const recorded = `${story.end === null ? 'open' : ENDED[story.end.type]}, ${filled} of ${intent.qty} filled`
  const tell = (what: string, cause: string) =>
    report({ ...orderDifference(story, place, what, cause), recorded, expected: toldModel(nominal) })
  if (surely && hard.qty.gt(filled)) {
    const why = story.end === null ? 'it is open still' : story.end.why
    if (filled.gt(ZERO)) {
      const cause = `the model fills more of it on these bars: ${why}`
      report({
        ...orderDifference(story, place, 'partial', cause),
        class: 'fill',
        recorded,
        expected: toldModel(nominal),
      })
    } else tell(story.end === null ? 'not_filled' : ENDED[story.end.type], `the model fills it on these bars: ${why}`)
    return null
  }
  if (story.end === null) return 'unknown'
  if (!isOpen(models.easy.status) || !isOpen(hard.status)) return null
  const reason = parts.cancelReasons.get(story.order_id ?? '')
  if (reason === HALT) tell('halt', 'the order was cancelled by a halt')
  else if (reason === undefined && !endsByItself(story)) {
    tell(ENDED[story.end.type], `the order ended, and nobody asked for that: ${story.end.why}`)
  }
  return null
}

/** Why a halt cancels. */
const HALT = 'halt'

const ENDED = { 'orders.Cancelled': 'cancelled', 'orders.Expired': 'expired', 'orders.Rejected': 'rejected' } as const

/** The venue ends it in the course of things. */
function endsByItself({ end, intent }: OrderStory): boolean {
  if (end?.type === 'orders.Expired') return intent?.time_in_force !== 'gtc'
  return intent !== null && ['ioc', 'fok', 'opg', 'cls'].includes(intent.time_in_force)
}

function toldModel({ status, qty, price, bar }: ModelEnd): string {
  if (price === null || bar === null) return status
  return `${status}: ${qty} at ${price}, in the bar ${new Date(bar.time).toISOString()}`
}

export interface BookedParts {
  fills: readonly FillRow[]
  /** By client order id. */
  said: ReadonlyMap<string, VenueSaid>
  /** What the venue says that a fill costs; null: it says nothing. */
  fees: (symbol: string) => FeeBounds | null
  report: (found: Found) => void
}

/** What the tables hold against what was told of, and both against what the venue said. Gives the fees. */
export function compareBooked(stories: readonly OrderStory[], parts: BookedParts): Decimal {
  const rows = new Map(parts.fills.map((row) => [row.id, row]))
  let fees = ZERO
  for (const story of stories) {
    for (const { event, place } of story.fills) {
      const row = rows.get(event.id)
      rows.delete(event.id)
      if (row === undefined) tellMissing(story, event, place, parts)
      else compareRow(story, { event, place, row }, parts)
      fees = fees.plus(feeOf(event.payload))
    }
    compareReported(story, parts)
  }
  const byOrder = new Map(stories.map((story) => [story.order_id, story]))
  const lastPlace = stories.reduce(
    (most, { fills, place }) => Math.max(most, place, ...fills.map((one) => one.place)),
    0,
  )
  for (const row of rows.values()) {
    const story = byOrder.get(row.order_id)
    const place = story?.fills.at(-1)?.place ?? lastPlace
    const recorded = `${row.qty} at ${row.price}`
    const cause = 'a fill is booked that no event tells of'
    parts.report({ ...fillDifference(row, place, 'doubled', cause), recorded, expected: null })
  }
  return fees
}

const feeOf = ({ fee, fee_qty, price }: Pick<FillRow, 'fee' | 'fee_qty' | 'price'>) =>
  new Decimal(fee).plus(new Decimal(fee_qty).times(price))

function fillDifference(
  { symbol, order_id, timestamp }: Pick<FillRow, 'symbol' | 'order_id' | 'timestamp'>,
  place: number,
  what: string,
  cause: string,
): Omit<Found, 'recorded' | 'expected'> {
  return { place, class: 'fill', what, bar_index: null, ts: timestamp, symbol, order_id, cause }
}

function tellMissing({ bar_index }: OrderStory, { payload }: FillEvent, place: number, { report }: BookedParts): void {
  const expected = `${payload.qty} at ${payload.price}`
  const cause = 'a fill that the log tells of is not booked'
  report({ ...fillDifference(payload, place, 'missing', cause), bar_index, recorded: null, expected })
}

interface BookedFill {
  event: FillEvent
  place: number
  row: FillRow
}

function compareRow(
  { bar_index }: OrderStory,
  { event: { payload }, place, row }: BookedFill,
  parts: BookedParts,
): void {
  const { report } = parts
  const amounts = ({ qty, price }: Pick<FillRow, 'qty' | 'price'>) => `${qty} at ${price}`
  if (row.qty !== payload.qty || row.price !== payload.price) {
    const cause = 'the fill is booked otherwise than it was told'
    report({
      ...fillDifference(payload, place, 'amounts', cause),
      bar_index,
      recorded: amounts(row),
      expected: amounts(payload),
    })
  }
  const costs = ({ fee, fee_qty }: Pick<FillRow, 'fee' | 'fee_qty'>) => `fee ${fee}, in kind ${fee_qty}`
  const cost = (what: string, cause: string, expected: string) =>
    report({ ...fillDifference(payload, place, what, cause), class: 'cost', bar_index, recorded: costs(row), expected })
  if (row.fee !== payload.fee || row.fee_qty !== payload.fee_qty) {
    cost('booked', 'the fee is booked otherwise than it was told', costs(payload))
    return
  }
  const bounds = parts.fees(row.symbol)
  if (bounds === null) return
  const fee = feeOf(row)
  const notional = new Decimal(row.qty).times(row.price)
  const at = (bps: number) => notional.times(String(bps)).times(BASIS_POINT)
  const rounding = new Decimal(row.price).times(ROUNDING).plus(ROUNDING)
  if (fee.gte(at(bounds.least_bps).minus(rounding)) && fee.lte(at(bounds.most_bps).plus(rounding))) return
  const { least_bps, most_bps } = bounds
  const range = least_bps === most_bps ? `${least_bps} bps` : `${least_bps} to ${most_bps} bps`
  cost(
    'schedule',
    'the fee is not what the venue says that it charges',
    `${range}, ${at(least_bps)} to ${at(most_bps)}`,
  )
}

/** Venues round what they keep in kind to the ninth place. */
const ROUNDING = '0.000000002'
/** Venues round their averages. */
const AVERAGE_ROUNDING = '0.00001'

function compareReported(story: OrderStory, { said, report }: BookedParts): void {
  const venue = said.get(story.client_order_id)
  if (venue === undefined) return
  const booked = story.fills.reduce((sum, { event }) => sum.plus(event.payload.qty), ZERO)
  const paid = story.fills.reduce(
    (sum, { event: { payload } }) => sum.plus(new Decimal(payload.qty).times(payload.price)),
    ZERO,
  )
  const place = story.fills.at(-1)?.place ?? story.place
  const tell = (what: string, cause: string, recorded: string, expected: string) =>
    report({ ...orderDifference(story, place, what, cause), class: 'fill', recorded, expected })
  if (!booked.eq(venue.filled_qty)) {
    tell(
      'quantity',
      'the venue reported another quantity than is booked',
      `${booked} booked`,
      `${venue.filled_qty} reported`,
    )
  } else if (booked.gt(ZERO) && venue.filled_avg_price !== null) {
    const average = paid.div(booked)
    const away = average.minus(venue.filled_avg_price).abs()
    if (away.gt(average.times(AVERAGE_ROUNDING))) {
      tell('average', 'the venue reported another average price than is booked', `${average}`, venue.filled_avg_price)
    }
  }
}
