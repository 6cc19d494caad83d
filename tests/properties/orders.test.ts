/**
 * What must hold for any stream of orders, whatever the fill model: each property is computed anew from the rows that a
 * run leaves, in exact decimals. WEAVER_LEDGER_CASES says over how many streams.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FillRow, OrderRow } from '../../db/walle/rows.ts'
import { Decimal, ZERO } from '../../jobs/greta/decimals.ts'
import { restoreLedger } from '../../jobs/greta/ledger.ts'
import { CASH, type PlayedStream, playStream, SYMBOLS } from '../support/random_orders.ts'

const CASES = Number(process.env.WEAVER_LEDGER_CASES ?? 150)
const TEN_THOUSAND_MS = 600_000

const sum = (values: readonly Decimal[]) => values.reduce((total, value) => total.plus(value), ZERO)
const amountOf = (fill: FillRow) => new Decimal(fill.qty).times(fill.price)
const receivedOf = (fill: FillRow) => new Decimal(fill.qty).minus(fill.fee_qty)
const signedOf = (fill: FillRow) => (fill.side === 'buy' ? receivedOf(fill) : receivedOf(fill).neg())
const orderOf = ({ orders }: PlayedStream, fill: FillRow) => orders.get(fill.order_id) as OrderRow
const atEnd = ({ reason }: OrderRow) => reason === 'close_at_end'

function barOf({ columns }: PlayedStream, { symbol, timestamp }: FillRow) {
  const one = columns[symbol]
  const index = one?.time.indexOf(Date.parse(timestamp)) ?? -1
  if (!one || index < 0) throw new Error(`no bar of ${symbol} opens at ${timestamp}`)
  const of = (name: 'high' | 'low' | 'volume') => new Decimal(String(one[name][index]))
  return { high: of('high'), low: of('low'), volume: of('volume') }
}

/** Cash, positions at cost, realised gains and fees; then cash and positions at the last closes: from the fills alone. */
function moneyIsConserved(stream: PlayedStream): void {
  const { fills, played, columns } = stream
  const ledger = restoreLedger(played.checkpoint.simulation.ledger)
  const fees = sum(fills.map((fill) => new Decimal(fill.fee)))
  const atCost = ledger.positions.map(({ qty, cost, realised }) => (qty.s < 0 ? cost.neg() : cost).minus(realised))
  expect(sum([ledger.cash, ...atCost, fees]).toString()).toBe(CASH)
  const paid = fills.map((fill) => signedOf(fill).times(fill.price).plus(fill.fee))
  const cash = new Decimal(CASH).minus(sum(paid))
  expect(ledger.cash.toString()).toBe(cash.toString())
  const values = SYMBOLS.map((symbol, index) => {
    const held = sum(fills.filter((fill) => fill.symbol === symbol).map(signedOf))
    expect(ledger.positions[index]?.qty.toString()).toBe(held.toString())
    return held.times(String(columns[symbol]?.close.at(-1)))
  })
  expect(played.finalEquity).toBe(sum([cash, ...values]).toString())
}

function fillsLieInTheirBars(stream: PlayedStream): void {
  for (const fill of stream.fills) {
    const { high, low } = barOf(stream, fill)
    const before = amountOf(fill)[fill.side === 'buy' ? 'minus' : 'plus'](fill.slippage)
    expect(before.gte(low.times(fill.qty)) && before.lte(high.times(fill.qty))).toBe(true)
    const order = orderOf(stream, fill)
    if (!atEnd(order)) expect(Date.parse(fill.timestamp)).toBeGreaterThanOrEqual(Date.parse(order.placed_at))
    const limit = order.price === null ? null : new Decimal(order.price)
    if (limit) expect(fill.side === 'buy' ? limit.gte(fill.price) : limit.lte(fill.price)).toBe(true)
  }
}

function ordersAddUp(stream: PlayedStream): void {
  for (const order of stream.orders.values()) {
    const filled = sum(stream.fills.filter((fill) => fill.order_id === order.id).map((fill) => new Decimal(fill.qty)))
    expect(order.filled_qty).toBe(filled.toString())
    expect(filled.lte(order.qty)).toBe(true)
    expect(order.status === 'filled').toBe(filled.eq(order.qty) && order.status !== 'rejected')
    expect(order.fees).toBe(
      sum(stream.fills.filter((fill) => fill.order_id === order.id).map((fill) => new Decimal(fill.fee))).toString(),
    )
  }
}

function volumeIsNotExceeded(stream: PlayedStream): void {
  const { max_volume_share: share } = stream.model
  if (share === null) return
  const taken = new Map<string, Decimal>()
  for (const fill of stream.fills.filter((one) => !atEnd(orderOf(stream, one)))) {
    const key = `${fill.symbol} ${fill.timestamp}`
    taken.set(key, new Decimal(fill.qty).plus(taken.get(key) ?? ZERO))
    expect(taken.get(key)?.lte(barOf(stream, fill).volume.times(String(share)))).toBe(true)
  }
}

/** Exits only make a position smaller, to nothing at the most; of a pair never both fill, nor more than the entry did. */
function exitsOnlyClose(stream: PlayedStream): void {
  const held = new Map<string, Decimal>()
  for (const fill of stream.fills) {
    const before = held.get(fill.symbol) ?? ZERO
    const after = before.plus(signedOf(fill))
    if (orderOf(stream, fill).parent_order_id !== null) {
      expect(after.abs().lt(before.abs()) && after.times(before).gte(ZERO)).toBe(true)
    }
    held.set(fill.symbol, after)
  }
  const pairs = Map.groupBy(
    [...stream.orders.values()].filter((order) => order.parent_order_id !== null),
    (order) => order.client_order_id.replace(/-(sl|tp)(\d+)$/, '-$2'),
  )
  for (const legs of pairs.values()) {
    expect(legs.filter(({ status }) => status === 'filled').length).toBeLessThanOrEqual(1)
    const closed = sum(legs.map((leg) => new Decimal(leg.filled_qty)))
    expect(closed.lte(legs[0]?.qty ?? '0')).toBe(true)
    const living = legs.filter(({ status }) => status === 'accepted' || status === 'partial')
    if (legs.some(({ status }) => status === 'filled')) expect(living).toEqual([])
  }
}

/** Tiers as they are published: volume from, maker, taker, in basis points. */
const TIERS: readonly (readonly [number, number, number])[] = [
  [0, 15, 25],
  [100_000, 12, 22],
  [500_000, 10, 20],
]

function feesFollowTheSchedule(stream: PlayedStream): void {
  const { model, fills } = stream
  for (const fill of fills) {
    const order = orderOf(stream, fill)
    if (model.commission === 'flat') {
      const parts = amountOf(fill).times(model.commission_bps).times('0.0001')
      const fee = parts.plus(new Decimal(fill.qty).times(model.commission_per_share))
      const least = new Decimal(model.commission_min)
      expect([fill.fee, fill.fee_qty]).toEqual([(fee.lt(least) ? least : fee).toString(), '0'])
      continue
    }
    const day = fill.timestamp.slice(0, 10)
    const before = fills.filter((one) => one.timestamp.slice(0, 10) < day)
    const volume = sum(before.map(amountOf))
    const [, maker, taker] = TIERS.findLast(([from]) => volume.gte(from)) ?? [0, 0, 0]
    const of = (bps: number): string[] => {
      const rate = new Decimal(bps).div(10_000)
      if (fill.side === 'sell') return [amountOf(fill).times(rate).toString(), '0']
      const kept = new Decimal(fill.qty).times(rate).round(9, 2)
      return [kept.times(fill.price).toString(), kept.toString()]
    }
    const possible = order.price === null ? [of(taker)] : [of(maker), of(taker)]
    expect(possible).toContainEqual([fill.fee, fill.fee_qty])
  }
}

/** An order that must not wait has its fills in one bar, fok all of it, and is over once it was tested. */
function impatientOrdersEnd(stream: PlayedStream): void {
  for (const order of stream.orders.values()) {
    if (order.time_in_force !== 'ioc' && order.time_in_force !== 'fok') continue
    const fills = stream.fills.filter((fill) => fill.order_id === order.id)
    expect(new Set(fills.map((fill) => fill.timestamp)).size).toBeLessThanOrEqual(1)
    if (order.time_in_force === 'fok' && fills.length > 0) expect(order.status).toBe('filled')
    const times = stream.columns[order.symbol]?.time ?? new Float64Array(0)
    const bars = [...times].filter((time) => time >= Date.parse(order.placed_at))
    const tested = bars[stream.model.latency_bars]
    const open = order.status === 'accepted' || order.status === 'partial'
    expect(open).toBe(tested === undefined && order.status !== 'cancelled' && order.status !== 'rejected')
    for (const fill of fills) expect(Date.parse(fill.timestamp)).toBe(tested)
  }
}

test(
  `over ${CASES} streams of orders money, volume, exits, fees and times in force hold`,
  () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const stream = playStream(seed)
        moneyIsConserved(stream)
        fillsLieInTheirBars(stream)
        ordersAddUp(stream)
        volumeIsNotExceeded(stream)
        exitsOnlyClose(stream)
        feesFollowTheSchedule(stream)
        impatientOrdersEnd(stream)
      }),
      { numRuns: CASES },
    )
  },
  TEN_THOUSAND_MS,
)

test('the streams ask for everything: each type and time in force fills, pairs meet, fees and volumes bind', () => {
  const streams = Array.from({ length: 80 }, (_, seed) => playStream(seed))
  const filled = streams.flatMap(({ orders }) => [...orders.values()].filter(({ status }) => status === 'filled'))
  const seen = (name: 'order_type' | 'time_in_force') => new Set(filled.map((order) => order[name]))
  expect([...seen('order_type')].sort()).toEqual(['limit', 'market', 'stop', 'stop_limit', 'trailing_stop'])
  expect([...seen('time_in_force')].sort()).toEqual(['day', 'fok', 'gtc', 'ioc'])
  const fills = streams.flatMap((stream) => stream.fills)
  expect(fills.some(({ fee_qty }) => fee_qty !== '0')).toBe(true)
  expect(fills.some(({ ambiguous }) => ambiguous)).toBe(true)
  const orders = streams.flatMap((stream) => [...stream.orders.values()])
  expect(orders.some(({ status, filled_qty }) => status === 'cancelled' && filled_qty !== '0')).toBe(true)
})
