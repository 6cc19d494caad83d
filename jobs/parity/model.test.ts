/** One order alone against recorded bars, and what of its fate is told as a difference. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FillEvent } from '../../db/walle/projections/fills.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import { resolveFillModel } from '../greta/fill_model.ts'
import { createRecordedBars } from './bars.ts'
import { judgeOrders } from './fills.ts'
import { playOrder } from './model.ts'
import type { OrderStory } from './orders.ts'
import type { Found } from './parity.ts'
import { createFindings } from './parity.ts'

const T0 = Date.UTC(2025, 0, 6)
const MINUTE = 60_000
const S = 'BTC/USD'
const MODEL = resolveFillModel({ preset: 'weaver' })
const RUN = { symbols: [S], timeframe: '1m', fill: MODEL } as unknown as RunRow

type Ohlc = [open: number, high: number, low: number, close: number]

function bars(...rows: Ohlc[]): CandleColumns {
  const column = (index: number) => Float64Array.from(rows, (row) => row[index] as number)
  const time = Float64Array.from(rows, (_, index) => T0 + index * MINUTE)
  const [open, high, low, close] = [column(0), column(1), column(2), column(3)]
  return { time, open, high, low, close, volume: Float64Array.from(rows, () => 1) }
}

function intent(changes: Partial<PlaceIntent>): PlaceIntent {
  return {
    ...{ kind: 'place', client_order_id: 'o', symbol: S, side: 'buy', order_type: 'market', qty: '2' },
    ...{ limit_price: null, stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc' },
    ...{ extended_hours: false, take_profit: null, stop_loss: null, reason: null, ...changes },
  } as PlaceIntent
}

/** Of an order decided when the first bar had closed. */
function story(asked: PlaceIntent, filled: { qty: string; price: string; at: number } | null): OrderStory {
  const payload = filled && {
    ...{ symbol: S, qty: filled.qty, price: filled.price, filled_avg_price: filled.price },
    timestamp: new Date(filled.at).toISOString(),
  }
  return {
    ...{ client_order_id: 'o', intent: asked, bar_index: 0, decidedAt: T0 + MINUTE, cancelledAt: null, place: 1 },
    ...{ order_id: 'id', isExit: false, refusal: null, end: null, rejected: null },
    fills: payload === null ? [] : [{ event: { payload } as unknown as FillEvent, place: 2 }],
  }
}

function judged(told: OrderStory, seen: CandleColumns) {
  const found: Found[] = []
  const parts = { run: RUN, bars: () => seen, toleranceBps: 10, cancelReasons: new Map<string, string>() }
  const through = (seen.time.at(-1) as number) + MINUTE
  const sums = judgeOrders([told], { ...parts, through, report: (one) => found.push(one) })
  return { kinds: found.map(({ class: name, what }) => `${name}/${what}`), ...sums }
}

const SEEN = bars([100, 101, 99, 100], [100, 103, 99.5, 102], [102, 104, 101, 103])

test('a market order fills at the open of the bar after, whatever its account holds', () => {
  const end = playOrder(
    { intent: intent({ side: 'sell' }), decidedAt: T0 + MINUTE, cancelledAt: null },
    { timeframe: '1m', bars: SEEN, model: MODEL },
  )
  expect([end.status, end.qty.toString(), end.price?.toString(), end.bar?.time]).toEqual([
    'filled',
    '2',
    '100',
    T0 + MINUTE,
  ])
})

test.each([
  ['at once, a little dearer', { qty: '2', price: '100.02', at: T0 + MINUTE + 50 }, []],
  ['anywhere within its bar', { qty: '2', price: '102.9', at: T0 + MINUTE + 9_000 }, []],
  ['beyond its bar', { qty: '2', price: '104', at: T0 + MINUTE + 9_000 }, ['fill/price']],
  ['a bar too late', { qty: '2', price: '102', at: T0 + 2 * MINUTE }, ['fill/bar']],
  ['half of it', { qty: '1', price: '100', at: T0 + MINUTE }, ['fill/partial']],
])('a market order that is filled %s', (_, filled, kinds) => {
  expect(judged(story(intent({}), filled), SEEN).kinds).toEqual(kinds)
})

test.each([
  ['is filled where the model fills it', { qty: '2', price: '99.8', at: T0 + MINUTE + 5_000 }, '99.8', []],
  [
    'is filled far below what the bars reached',
    { qty: '2', price: '95', at: T0 + MINUTE + 5_000 },
    '95',
    ['fill/not_in_model'],
  ],
  ['is open although the bars went through it', null, '99.8', ['order/not_filled']],
  ['is open where the bars came near it only', null, '99.55', []],
])('a limit order that %s', (_, filled, limit_price, kinds) => {
  expect(judged(story(intent({ order_type: 'limit', limit_price }), filled), SEEN).kinds).toEqual(kinds)
})

test('slippage is what was paid more than the model pays', () => {
  const { slippage } = judged(story(intent({}), { qty: '2', price: '100.05', at: T0 + MINUTE }), SEEN)
  expect(slippage).toEqual({ orders: 1, mean_bps: 5, max_bps: 5, cost: '0.1' })
})

test('what the model itself does is never a difference', () => {
  const price = fc.integer({ min: 9_000, max: 11_000 }).map((cents) => cents / 100)
  const bar = fc
    .tuple(price, price, price, price)
    .map(([a, b, c, d]): Ohlc => [a, Math.max(a, b, c, d), Math.min(a, b, c, d), d])
  const kind = fc.constantFrom('market', 'limit', 'stop')
  const side = fc.constantFrom('buy', 'sell')
  fc.assert(
    fc.property(fc.array(bar, { minLength: 2, maxLength: 12 }), kind, side, price, (rows, order_type, side, at) => {
      const seen = bars(...rows)
      const prices = {
        limit_price: order_type === 'limit' ? String(at) : null,
        stop_price: order_type === 'stop' ? String(at) : null,
      }
      const asked = intent({ order_type, side, ...prices } as Partial<PlaceIntent>)
      const end = playOrder(
        { intent: asked, decidedAt: T0 + MINUTE, cancelledAt: null },
        { timeframe: '1m', bars: seen, model: MODEL },
      )
      const filled = end.price &&
        end.bar && { qty: end.qty.toString(), price: end.price.toString(), at: end.bar.time + 1 }
      expect(judged(story(asked, filled), seen).kinds).toEqual([])
    }),
  )
})

test('bars: late, corrected, missing and changed ones, each once', () => {
  const recorded = createRecordedBars()
  const window = (columns: CandleColumns) => [{ symbol: S, timeframe: '1m' as const, columns }]
  const part = (from: CandleColumns, indexes: number[]): CandleColumns => {
    const pick = (column: Float64Array) => Float64Array.from(indexes, (index) => column[index] as number)
    const { time, open, high, low, close, volume } = from
    return {
      time: pick(time),
      open: pick(open),
      high: pick(high),
      low: pick(low),
      close: pick(close),
      volume: pick(volume),
    }
  }
  const whole = bars([1, 2, 1, 2], [2, 3, 2, 3], [3, 4, 3, 4], [4, 5, 4, 5], [5, 6, 5, 6])
  const at = (tick: number) => ({ place: tick, bar_index: tick, ts: T0 + tick * MINUTE })
  const corrected = bars([1, 2, 1, 2], [2, 9, 2, 3], [3, 4, 3, 4], [4, 5, 4, 5], [5, 6, 5, 6])
  expect(recorded.take(window(part(whole, [0, 1])), at(3))).toEqual([])
  const second = recorded.take(window(part(corrected, [0, 1, 2, 4])), at(5))
  expect(second.map(({ what, ts }) => [what, ts])).toEqual([
    ['revised', new Date(T0 + MINUTE).toISOString()],
    ['late', new Date(T0 + 2 * MINUTE).toISOString()],
  ])
  const series = { symbol: S, timeframe: '1m' as const }
  expect(recorded.compare(series, part(corrected, [0, 1, 2, 4]))).toEqual([])
  expect(recorded.compare(series, corrected).map(({ what }) => what)).toEqual(['missing'])
  expect(recorded.compare(series, part(whole, [0, 1, 4])).map(({ what }) => what)).toEqual(['revised', 'removed'])
})

test('of many differences the earliest are kept, and all are counted', () => {
  const findings = createFindings(3)
  const one = (place: number): Found => ({
    ...{ place, class: 'fill', what: 'price', bar_index: place, ts: null, symbol: null, order_id: null },
    ...{ recorded: null, expected: null, cause: '' },
  })
  for (let place = 100; place > 0; place -= 1) findings.add(one(place))
  const { differences, differences_total, counts, first_divergence, verdict } = findings.summary()
  expect([differences.map(({ bar_index }) => bar_index), differences_total, counts.fill]).toEqual([[1, 2, 3], 100, 100])
  expect([first_divergence?.bar_index, verdict]).toEqual([1, 'diverged'])
})
