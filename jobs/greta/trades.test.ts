import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Decimal, ZERO } from './decimals.ts'
import {
  createTradeMatcher,
  openTradesOf,
  type TradeFill,
  type TradeMatcher,
  type TradeMatcherState,
} from './trades.ts'

const DAY = Date.UTC(2024, 0, 1)
const MINUTE = 60_000

type FillText = [order: string, side: 'buy' | 'sell', qty: string, price: string, fee?: string, end?: string]

/** One row a fill: `order side qty price fee`, a bar apart, `!` when the order is done with it. */
function play(matcher: TradeMatcher, rows: string[]): void {
  rows.forEach((row, bar) => {
    const [orderId, side, qty, price, fee = '0', end] = row.split(' ') as FillText
    matcher.onFill({ symbol: 'X', side, qty, price, fee, orderId, time: DAY + bar * MINUTE, barIndex: bar })
    if (end === '!') matcher.onOrderEnd(orderId)
  })
}

function tradesOf(rows: string[]) {
  const matcher = createTradeMatcher()
  play(matcher, rows)
  return matcher.takeClosed('run').map((trade) => ({
    pair: `${trade.entry_order_id}>${trade.exit_order_id}`,
    side: trade.side,
    qty: trade.qty,
    entry: trade.entry_price,
    exit: trade.exit_price,
    fees: trade.fees,
    pnl: trade.pnl,
  }))
}

test('an entry and its exit make one trade, net of the fees of both', () => {
  const matcher = createTradeMatcher()
  play(matcher, ['in buy 10 100 1 !', 'out sell 10 110.5 1.25 !'])
  expect(matcher.takeClosed('run')).toEqual([
    {
      run_id: 'run',
      ordinal: 0,
      symbol: 'X',
      side: 'long',
      qty: '10',
      entry_order_id: 'in',
      exit_order_id: 'out',
      entry_time: '2024-01-01T00:00:00.000Z',
      exit_time: '2024-01-01T00:01:00.000Z',
      entry_price: '100',
      exit_price: '110.5',
      fees: '2.25',
      pnl: '102.75',
      return: 0.10275,
      mae: 0,
      mfe: 0.105,
      bars: 1,
    },
  ])
  expect(matcher.takeClosed('run')).toEqual([])
})

test('a short trade gains when the price falls', () => {
  expect(tradesOf(['in sell 2 50 0.1 !', 'out buy 2 45 0.1 !'])).toEqual([
    { pair: 'in>out', side: 'short', qty: '2', entry: '50', exit: '45', fees: '0.2', pnl: '9.8' },
  ])
})

test('several fills of one pair of orders merge; the trade is there when the exit order is done', () => {
  const matcher = createTradeMatcher()
  play(matcher, ['in buy 1 100', 'in buy 2 103 0 !', 'out sell 1 110', 'out sell 1 111'])
  expect(matcher.takeClosed('run')).toEqual([])
  play(matcher, ['out sell 1 112 0 !'])
  expect(matcher.takeClosed('run')).toMatchObject([
    { qty: '3', entry_price: '102', exit_price: '111', pnl: '27', entry_order_id: 'in', exit_order_id: 'out' },
  ])
})

test('partial exits split by exit order, the fee by quantity with the remainder to the last', () => {
  expect(
    tradesOf(['in buy 3 100 1 !', 'a sell 1 101 0 !', 'b sell 1 102 0 !', 'c sell 1 103 0 !']).map((t) => t.fees),
  ).toEqual(['0.333333333333', '0.333333333334', '0.333333333333'])
})

test('an exit closes the oldest entries first and makes one trade with each', () => {
  expect(tradesOf(['a buy 1 100 0 !', 'b buy 2 200 0 !', 'out sell 2 300 3 !'])).toEqual([
    { pair: 'a>out', side: 'long', qty: '1', entry: '100', exit: '300', fees: '1.5', pnl: '198.5' },
    { pair: 'b>out', side: 'long', qty: '1', entry: '200', exit: '300', fees: '1.5', pnl: '98.5' },
  ])
})

test('an order that turns the position around is the exit of one trade and the entry of the next', () => {
  expect(tradesOf(['a buy 1 100 0 !', 'b sell 3 110 0.3 !', 'c buy 2 105 0 !'])).toEqual([
    { pair: 'a>b', side: 'long', qty: '1', entry: '100', exit: '110', fees: '0.1', pnl: '9.9' },
    { pair: 'b>c', side: 'short', qty: '2', entry: '110', exit: '105', fees: '0.2', pnl: '9.8' },
  ])
})

test('adverse and favourable excursions are fractions of the entry price over the bars held', () => {
  const matcher = createTradeMatcher()
  play(matcher, ['old buy 1 100'])
  matcher.onBar('X', 104, 95)
  play(matcher, ['young buy 1 102'])
  matcher.onBar('X', 120, 101)
  matcher.onBar('Y', 900, 1)
  play(matcher, ['out sell 2 110 0 !'])
  const trades = matcher.takeClosed('run')
  expect(trades[0]?.mae).toBeCloseTo(0.05, 12)
  expect(trades[0]?.mfe).toBeCloseTo(0.2, 12)
  expect(trades[1]?.mae).toBeCloseTo(1 / 102, 12)
  expect(trades[1]?.mfe).toBeCloseTo(18 / 102, 12)
})

test('for a short trade the adverse side is up', () => {
  const matcher = createTradeMatcher()
  play(matcher, ['in sell 1 100'])
  matcher.onBar('X', 110, 96)
  play(matcher, ['out buy 1 98 0 !'])
  const [trade] = matcher.takeClosed('run')
  expect(trade?.mae).toBeCloseTo(0.1, 12)
  expect(trade?.mfe).toBeCloseTo(0.04, 12)
})

test('at the end what an open exit order has closed is a trade, the rest is open', () => {
  const matcher = createTradeMatcher()
  play(matcher, ['in buy 3 100 0 !', 'out sell 1 110'])
  matcher.endAll()
  expect(matcher.takeClosed('run')).toMatchObject([{ qty: '1', pnl: '10' }])
  expect(openTradesOf(matcher.save())).toBe(1)
})

test('open trades are entry orders, not fills', () => {
  const matcher = createTradeMatcher()
  play(matcher, ['a buy 1 100', 'a buy 1 101 0 !', 'b buy 1 102 0 !'])
  expect(openTradesOf(matcher.save())).toBe(2)
})

const amount = (most: number, places: number) =>
  fc.integer({ min: 1, max: most }).map((n) => new Decimal(n).div(10 ** places).toString())

const fills = fc.array(
  fc.record({
    symbol: fc.constantFrom('X', 'Y'),
    side: fc.constantFrom<'buy' | 'sell'>('buy', 'sell'),
    qty: amount(5_000_000, 6),
    price: amount(1_000_000, 4),
    fee: amount(1_000_000, 9),
    order: fc.nat(30),
    high: fc.double({ min: 50, max: 101, noNaN: true }),
    low: fc.double({ min: 0.1, max: 50, noNaN: true }),
  }),
  { maxLength: 60 },
)

type Row = typeof fills extends fc.Arbitrary<(infer R)[]> ? R : never

/** An order has one symbol and one side. */
const fillOf = (row: Row, bar: number): TradeFill => ({
  symbol: row.symbol,
  side: row.side,
  qty: row.qty,
  price: row.price,
  fee: row.fee,
  orderId: `${row.symbol}-${row.side}-${row.order}`,
  time: DAY + bar * MINUTE,
  barIndex: bar,
})

function step(matcher: TradeMatcher, row: Row, bar: number): void {
  matcher.onFill(fillOf(row, bar))
  matcher.onBar(row.symbol, row.high, row.low)
}

test('whatever is traded, the trades and what the open lots cost add up to the cash flow, to the last decimal', () => {
  fc.assert(
    fc.property(fills, (rows) => {
      const matcher = createTradeMatcher()
      let cash = ZERO
      rows.forEach((row, bar) => {
        step(matcher, row, bar)
        const notional = new Decimal(row.qty).times(row.price)
        cash = (row.side === 'buy' ? cash.minus(notional) : cash.plus(notional)).minus(row.fee)
      })
      matcher.endAll()
      let total = ZERO
      for (const trade of matcher.takeClosed('run')) total = total.plus(trade.pnl)
      for (const book of Object.values(matcher.save().books)) {
        for (const lot of book.lots) {
          const notional = new Decimal(lot.qty).times(lot.price)
          total = (book.long ? total.minus(notional) : total.plus(notional)).minus(lot.fee)
        }
      }
      expect(total.toString()).toBe(cash.toString())
    }),
  )
})

test('a matcher that is saved as JSON and restored at any fill gives the same trades', () => {
  fc.assert(
    fc.property(fills, fc.nat(60), (rows, cut) => {
      const whole = createTradeMatcher()
      let parts = createTradeMatcher()
      const closed = []
      for (const [bar, row] of rows.entries()) {
        step(whole, row, bar)
        if (bar === cut) {
          closed.push(...parts.takeClosed('run'))
          parts = createTradeMatcher(JSON.parse(JSON.stringify(parts.save())) as TradeMatcherState)
        }
        step(parts, row, bar)
        for (const matcher of [whole, parts]) if (row.order % 3 === 0) matcher.onOrderEnd(fillOf(row, bar).orderId)
      }
      whole.endAll()
      parts.endAll()
      expect([...closed, ...parts.takeClosed('run')]).toEqual(whole.takeClosed('run'))
    }),
  )
})

test('excursions equal those of a matcher that notes every bar with every lot', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 50, max: 100 }), fc.integer({ min: 1, max: 49 })), {
        minLength: 1,
        maxLength: 30,
      }),
      (bars) => {
        const matcher = createTradeMatcher()
        bars.forEach(([high, low], bar) => {
          matcher.onFill({
            symbol: 'X',
            side: 'buy',
            qty: '1',
            price: '50',
            fee: '0',
            orderId: `${bar}`,
            time: DAY,
            barIndex: bar,
          })
          matcher.onBar('X', high, low)
        })
        matcher.onFill({
          symbol: 'X',
          side: 'sell',
          qty: `${bars.length}`,
          price: '50',
          fee: '0',
          orderId: 'out',
          time: DAY,
          barIndex: 99,
        })
        matcher.endAll()
        matcher.takeClosed('run').forEach((trade, bar) => {
          const seen = bars.slice(bar)
          expect(trade.mfe).toBeCloseTo(Math.max(...seen.map(([high]) => high)) / 50 - 1, 12)
          expect(trade.mae).toBeCloseTo(1 - Math.min(...seen.map(([, low]) => low)) / 50, 12)
        })
      },
    ),
  )
})
