/**
 * What is booked of a paper or live run's fills, held against what its log and its venue told of them, and against what the
 * venue says that it charges, and kept. Pure.
 */
import type { FillEvent } from '../../db/walle/projections/fills.ts'
import type { FeeAdjustment, VenueSaid } from '../../db/walle/queries/parity.ts'
import type { FillRow } from '../../db/walle/rows.ts'
import { addVolume, costOf, type DailyVolume } from '../greta/costs.ts'
import { BASIS_POINT, Decimal, ZERO } from '../greta/decimals.ts'
import type { FillModel } from '../greta/fill_model.ts'
import type { FeeBounds } from '../veda/venue.ts'
import { type OrderStory, orderDifference } from './orders.ts'
import type { Found } from './parity.ts'

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
      fees = fees.plus(event.payload.fee)
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

/** What the run's fill model takes for the same orders, each at once and at its average price. */
export function modelFees(stories: readonly OrderStory[], model: FillModel): Decimal {
  const volume: DailyVolume = []
  let fees = ZERO
  for (const { intent, fills, acceptedAt, createdAt } of stories) {
    const last = fills.at(-1)?.event.payload
    if (last === undefined) continue
    const { symbol, side, filled_qty, filled_avg_price, timestamp } = last
    const time = Date.parse(timestamp)
    const waits = intent.limit_price !== null && intent.time_in_force !== 'ioc' && intent.time_in_force !== 'fok'
    const maker = waits && time - (acceptedAt ?? createdAt) > TAKEN_WITHIN_MS
    const fill = { symbol, side, qty: new Decimal(filled_qty), price: new Decimal(filled_avg_price), maker, time }
    fees = fees.plus(costOf(model, fill, volume).fee)
    addVolume(model, fill, volume)
  }
  return fees
}

/** A limit order that was filled no later did not wait in the book for its price. */
const TAKEN_WITHIN_MS = 10_000

/**
 * Where the venue kept something else of purchases than was booked: the account's positions tell, not its fills. Gives notes
 * of what may be another run's.
 */
export function compareKept(
  stories: readonly OrderStory[],
  adjustments: readonly FeeAdjustment[],
  report: BookedParts['report'],
): string[] {
  const bought = new Map<string, number>()
  for (const { event, place } of stories.flatMap(({ fills }) => fills)) {
    const { side, symbol } = event.payload
    if (side === 'buy') bought.set(symbol, Math.min(place, bought.get(symbol) ?? place))
  }
  const notes: string[] = []
  for (const { place, ts, symbol, detail, shared } of adjustments) {
    if ((bought.get(symbol) ?? Number.POSITIVE_INFINITY) > place) continue
    if (shared) {
      notes.push(`${symbol}, which another run of the account bought as well, at ${ts}: ${detail}`)
      continue
    }
    const at = { place, class: 'cost', what: 'kept', bar_index: null, ts, symbol, order_id: null } as const
    report({ ...at, cause: 'the venue kept something else as fees than was booked', recorded: detail, expected: null })
  }
  return notes
}

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
  // With what was kept of the quantity.
  const fee = new Decimal(row.fee)
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
