/** One order alone against recorded bars, and what of its fate is told as a difference. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FillEvent } from '../../db/walle/projections/fills.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import { Decimal } from '../greta/decimals.ts'
import { resolveFillModel } from '../greta/fill_model.ts'
import { createRecordedBars } from './bars.ts'
import { createBreath } from './breath.ts'
import { compareExits } from './exits.ts'
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
function story(
  asked: PlaceIntent,
  filled: { qty: string; price: string; at: number } | null,
  more: Partial<OrderStory> = {},
): OrderStory {
  const payload = filled && {
    ...{ symbol: S, qty: filled.qty, price: filled.price, filled_avg_price: filled.price },
    timestamp: new Date(filled.at).toISOString(),
  }
  return {
    ...{ client_order_id: 'o', intent: asked, isOwn: false, bar_index: 0, decidedAt: T0 + MINUTE, cancelledAt: null },
    ...{ order_id: 'id', place: 1, createdAt: T0 + MINUTE, acceptedAt: T0 + MINUTE, exit: null, roles: [], grown: [] },
    ...{ refusal: null, end: null, rejected: null, replaced: null },
    fills: payload === null ? [] : [{ event: { payload } as unknown as FillEvent, place: 2 }],
    ...more,
  }
}

/** With all the time in the world. */
const breathe = () => null

async function judged(told: OrderStory, seen: CandleColumns, fill: object = {}) {
  const found: Found[] = []
  const run = { ...RUN, fill: { ...MODEL, ...fill } }
  const parts = { run, bars: () => seen, toleranceBps: 10, cancelReasons: new Map<string, string>(), breathe }
  const through = (seen.time.at(-1) as number) + MINUTE
  const sums = await judgeOrders([told], { ...parts, through, report: (one) => found.push(one) })
  return { kinds: found.map(({ class: name, what }) => `${name}/${what}`), ...sums }
}

const SEEN = bars([100, 101, 99, 100], [100, 103, 99.5, 102], [102, 104, 101, 103])

test('a market order fills at the open of the bar after, whatever its account holds', async () => {
  const end = await playOrder(
    { intent: intent({ side: 'sell' }), decidedAt: T0 + MINUTE, cancelledAt: null },
    { timeframe: '1m', bars: SEEN, model: MODEL, breathe },
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
])('a market order that is filled %s', async (_, filled, kinds) => {
  expect((await judged(story(intent({}), filled), SEEN)).kinds).toEqual(kinds)
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
])('a limit order that %s', async (_, filled, limit_price, kinds) => {
  const told = story(intent({ order_type: 'limit', limit_price }), filled)
  expect((await judged(told, SEEN)).kinds).toEqual(kinds)
})

test('slippage is what was paid more than the model pays', async () => {
  const { slippage } = await judged(story(intent({}), { qty: '2', price: '100.05', at: T0 + MINUTE }), SEEN)
  expect(slippage).toEqual({ orders: 1, mean_bps: 5, max_bps: 5, cost: '0.1' })
})

/** Falls from 110 in the second bar, far and for good. */
const FALLS = bars([100, 100, 100, 100], [100, 110, 100, 110], [110, 110, 50, 50], [50, 50, 40, 40])
const STANDS = bars([100, 100, 100, 100], [100, 101, 99, 100], [100, 101, 99, 100], [100, 101, 99, 100])
const STOP_LIMIT = { order_type: 'stop_limit', stop_price: '102', limit_price: '103' } as const
const TRAILS = { side: 'sell', order_type: 'trailing_stop', trail_percent: '5' } as const

test.each([
  [
    'a stop-limit that is open although bars went through it again and again',
    STOP_LIMIT,
    null,
    THROUGH(),
    ['order/not_filled'],
  ],
  ['one that is open where no bar came back to its limit', { ...STOP_LIMIT, limit_price: '99' }, null, RISES(), []],
  [
    'one whose stop was never reached, filled',
    { ...STOP_LIMIT, stop_price: '120', limit_price: '121' },
    100,
    STANDS,
    ['fill/not_in_model'],
  ],
  ['one that is filled in the bar that set it off', STOP_LIMIT, 102.5, THROUGH(), []],
  ['a trailing stop that is open far below its level', TRAILS, null, FALLS, ['order/not_filled']],
  ['one that is filled where it had to be', TRAILS, 104, FALLS, []],
  ['one that is filled before anything fell', TRAILS, 100, STANDS, ['fill/not_in_model']],
])('%s', async (_, asked, price, seen, kinds) => {
  const at = T0 + (seen === FALLS ? 2 : 1) * MINUTE + 5_000
  const filled = price === null ? null : { qty: '2', price: String(price), at }
  expect((await judged(story(intent(asked), filled), seen)).kinds).toEqual(kinds)
})

function THROUGH() {
  return bars([100, 100, 100, 100], [100, 105, 99, 104], [104, 106, 100, 101], [101, 106, 99, 101], [101, 106, 99, 101])
}

function RISES() {
  return bars([100, 100, 100, 100], [100, 105, 100, 105], [105, 110, 105, 110], [110, 115, 110, 115])
}

test.each([
  [
    'the trail of an entry is that of its exit',
    { trail_percent: '2' },
    { qty: '2', price: '100', at: T0 + MINUTE + 50 },
    {},
  ],
  [
    'a price on the grid of the run is one a tolerance away from it',
    { order_type: 'limit', limit_price: '99.75' } as const,
    { qty: '2', price: '99.75', at: T0 + MINUTE + 5_000 },
    { price_increment: '0.01' },
  ],
  [
    'a coin is bought at the ask, half a spread above what was traded',
    {},
    { qty: '2', price: '100.15', at: T0 + MINUTE },
    {},
  ],
])('what is as it should be: %s', async (_, asked, filled, fill) => {
  const flat = bars([100, 100, 100, 100], [100, 100, 99.6, 100], [100, 101, 95, 95], [95, 96, 94, 95])
  expect((await judged(story(intent(asked), filled), flat, fill)).kinds).toEqual([])
})

test('in a minute of which nothing traded makes a bar, the bars around it tell what a price is', async () => {
  const hole = bars([100, 100, 100, 100], [100, 101, 99, 100], [100, 101, 99, 100])
  hole.time[2] = T0 + 3 * MINUTE
  const kindsAt = async (price: string) => {
    const filled = { qty: '2', price, at: T0 + 2 * MINUTE + 50 }
    return (await judged(story(intent({}), filled, { decidedAt: T0 + 2 * MINUTE }), hole)).kinds
  }
  expect([await kindsAt('50'), await kindsAt('100.5')]).toEqual([['fill/price'], []])
})

test('what was placed inside a bar is surely filled by what comes after it, and by nothing before', async () => {
  const limit = intent({ side: 'sell', order_type: 'limit', limit_price: '102' })
  const placed = { isOwn: true, createdAt: T0 + MINUTE + 20_000, acceptedAt: T0 + MINUTE + 20_000 }
  const early = bars([100, 100, 100, 100], [100, 103, 99, 99], [99, 100, 98, 99])
  const later = bars([100, 100, 100, 100], [100, 100, 99, 99], [99, 103, 98, 99])
  const kinds = async (seen: CandleColumns) => (await judged(story(limit, null, placed), seen)).kinds
  expect([await kinds(early), await kinds(later)]).toEqual([[], ['order/not_filled']])
})

test('a take profit beside a stop loss is due once a bar closed beyond it and the price stayed there', async () => {
  const entry = story(intent({ take_profit: '102', stop_loss: '90' }), null, { roles: ['sl', 'tp'] })
  const exit = { isOwn: true, acceptedAt: null, exit: { entry, role: 'tp', pair: 'o 0' } } as const
  const asked = intent({ side: 'sell', order_type: 'limit', limit_price: '102' })
  const touches = bars([100, 100, 100, 100], [100, 104, 100, 101], [101, 104, 100, 101], [101, 104, 100, 101])
  const stays = bars([100, 100, 100, 100], [100, 104, 100, 104], [104, 105, 103, 104], [104, 105, 103, 104])
  const kinds = async (seen: CandleColumns) => (await judged(story(asked, null, exit), seen)).kinds
  expect([await kinds(touches), await kinds(stays)]).toEqual([[], ['order/not_filled']])
})

test('an end that nobody asked for is told whatever the bars do afterwards, and one by its time in force is not', async () => {
  const ended = (type: 'orders.Cancelled' | 'orders.Expired') => ({
    end: { type, at: T0 + MINUTE + 10_000, place: 3, why: 'no reason' },
  })
  const kinds = async (asked: Partial<PlaceIntent>, type: 'orders.Cancelled' | 'orders.Expired') => {
    const limit = intent({ order_type: 'limit', limit_price: '95', ...asked })
    return (await judged(story(limit, null, ended(type)), FALLS)).kinds
  }
  expect(await kinds({}, 'orders.Cancelled')).toEqual(['order/cancelled'])
  expect(await kinds({ time_in_force: 'day' }, 'orders.Expired')).toEqual([])
  expect(await kinds({ time_in_force: 'ioc' }, 'orders.Cancelled')).toEqual([])
})

test('an order that was changed at the venue is one difference, whatever it filled', async () => {
  const limit = intent({ order_type: 'limit', limit_price: '95' })
  const replaced = { place: 3, terms: 'qty 1, price 101, gtc' }
  const { kinds } = await judged(story(limit, { qty: '1', price: '101', at: T0 + MINUTE }, { replaced }), FALLS)
  expect(kinds).toEqual(['order/replaced'])
})

test('an entry that was filled twice has exits for both fills, or it is told', () => {
  const told: string[] = []
  const entry = story(intent({ stop_loss: '90' }), { qty: '2', price: '100', at: T0 }, { roles: ['sl'] })
  entry.grown = [new Decimal('0.9975'), new Decimal('1')]
  const leg = (pair: number, qty: string) =>
    story(intent({ client_order_id: `o-sl${pair}`, qty }), null, { exit: { entry, role: 'sl', pair: `o ${pair}` } })
  const missing = (...legs: OrderStory[]) => {
    told.length = 0
    compareExits([entry, ...legs], {
      settledAt: null,
      report: ({ what, recorded }) => told.push(`${what} ${recorded}`),
    })
    return [...told]
  }
  expect(missing(leg(0, '0.9975'), leg(1, '1'))).toEqual([])
  // Another takes its place, and is larger.
  expect(missing(leg(0, '0.9975'), leg(0, '1.9975'))).toEqual([])
  expect(missing(leg(0, '0.9975'))).toEqual(['exit_missing for 0.9975'])
  expect(missing()).toEqual(['exit_missing none'])
})

test('a month of minutes is judged without holding up who shares the process', async () => {
  const count = 43_200
  const seen = bars(...Array.from({ length: count }, (_, n): Ohlc => [100, 101 + (n % 7), 99, 100]))
  const far = (n: number) =>
    story(intent({ order_type: 'limit', limit_price: '1.23' }), null, {
      decidedAt: T0 + n * MINUTE,
      acceptedAt: T0 + n * MINUTE,
    })
  const met = Array.from({ length: 400 }, (_, n) => far(n * 100))
  let steps = 0
  const counting = {
    bars: () => seen,
    breathe: () => {
      steps += 1
      return null
    },
  }
  const parts = {
    run: RUN,
    toleranceBps: 10,
    cancelReasons: new Map<string, string>(),
    through: T0,
    report: () => undefined,
  }
  await judgeOrders(met, { ...parts, ...counting })
  // Not one for each bar that each of them waited through.
  expect(steps).toBeLessThan(10 * met.length)
})

test('who works takes a breath when its few milliseconds are over', async () => {
  let now = 0
  let paused = 0
  const pause = async () => {
    paused += 1
  }
  const take = createBreath({ monotonic: () => now, pause })
  expect(take()).toBeNull()
  now = 5
  await take()
  expect([paused, take()]).toEqual([1, null])
})

test('what the model itself does is never a difference', async () => {
  const price = fc.integer({ min: 9_000, max: 11_000 }).map((cents) => cents / 100)
  const bar = fc
    .tuple(price, price, price, price)
    .map(([a, b, c, d]): Ohlc => [a, Math.max(a, b, c, d), Math.min(a, b, c, d), d])
  const kind = fc.constantFrom('market', 'limit', 'stop')
  const side = fc.constantFrom('buy', 'sell')
  await fc.assert(
    fc.asyncProperty(
      fc.array(bar, { minLength: 2, maxLength: 12 }),
      kind,
      side,
      price,
      async (rows, order_type, side, at) => {
        const seen = bars(...rows)
        const prices = {
          limit_price: order_type === 'limit' ? String(at) : null,
          stop_price: order_type === 'stop' ? String(at) : null,
        }
        const asked = intent({ order_type, side, ...prices } as Partial<PlaceIntent>)
        const end = await playOrder(
          { intent: asked, decidedAt: T0 + MINUTE, cancelledAt: null },
          { timeframe: '1m', bars: seen, model: MODEL, breathe },
        )
        const filled = end.price &&
          end.bar && { qty: end.qty.toString(), price: end.price.toString(), at: end.bar.time + 1 }
        expect((await judged(story(asked, filled), seen)).kinds).toEqual([])
      },
    ),
  )
})

test('bars: late, corrected, missing and changed ones, each once', async () => {
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
  const compared = async (stored: CandleColumns) => {
    const found = await recorded.compare(series, stored, breathe)
    return found.map(({ what }) => what)
  }
  expect(await compared(part(corrected, [0, 1, 2, 4]))).toEqual([])
  expect(await compared(corrected)).toEqual(['missing'])
  const again = bars([1, 2, 1, 2], [2, 7, 2, 3], [3, 4, 3, 4], [4, 5, 4, 5], [5, 6, 5, 6])
  expect(await compared(part(again, [0, 1, 4]))).toEqual(['revised', 'removed'])
  // As it was before it was corrected, which has been told.
  expect(await compared(part(whole, [0, 1, 2, 4]))).toEqual([])
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

test.each([
  [[], 'identical'],
  [['data/revised', 'cost/kept'], 'amended'],
  [['order/by_hand'], 'amended'],
  [['order/by_hand', 'order/unasked'], 'diverged'],
  [['data/revised', 'data/late'], 'diverged'],
])('with %j the verdict is %s', (kinds, verdict) => {
  const findings = createFindings(3)
  for (const kind of kinds) {
    const [name, what] = kind.split('/')
    findings.add({ class: name, what, place: 1, cause: '' } as Found)
  }
  expect(findings.summary().verdict).toBe(verdict)
})
