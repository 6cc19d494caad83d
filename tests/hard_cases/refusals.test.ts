/**
 * Orders that cannot be: refused before they leave where the venue's rules are known, and else ended in the venue's own
 * words. All of them are asked for at one tick, by a run each.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Asked, openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

type Case = [what: string, asked: Asked, words: string]

const BY_THE_VENUE: Case[] = [
  [
    'too little buying power',
    { qty: '600' },
    'venue: insufficient buying power; buying power: 50000; cost basis: 62400',
  ],
  [
    'an order that would meet somebody else’s of the same account',
    { symbol: 'ETH/USD' },
    'venue: potential wash trade detected. use complex orders; reject reason: opposite side limit order exists',
  ],
  ['a value below the least', { qty: '0.05' }, 'venue: cost basis must be >= minimal amount of order 10'],
]

const UNSENT: Case[] = [
  [
    'more than the cash of the run',
    { qty: '2000' },
    'insufficient_buying_power: 200000 needed with 100000 in cash and leverage 1',
  ],
  ['a quantity off the grid', { qty: '0.12345' }, 'invalid_order: qty 0.12345 is not a multiple of 0.0001'],
  [
    'a price off the grid',
    { type: 'limit', limit_price: '99.5' },
    'invalid_order: limit_price 99.5 is not a multiple of 1',
  ],
  [
    'a time in force that coins have not',
    { time_in_force: 'day' },
    'unsupported: the venue does not know day for crypto: gtc, ioc',
  ],
  [
    'a type that coins have not',
    { type: 'stop', stop_price: '120' },
    'unsupported: the venue takes no stop orders for crypto: market, limit, stop_limit',
  ],
  [
    'parts of coins that have none',
    { symbol: 'SHIB/USDT', qty: '0.5' },
    'invalid_order: SHIB/USDT is traded in whole quantities, not 0.5',
  ],
  [
    'a sale of what the run does not hold',
    { side: 'sell' },
    'short_not_allowed: selling 10 BTC/USD with 0 held by the run would go short; the fill option allow_short permits it',
  ],
  [
    'parts of a share good till cancelled',
    { symbol: 'AAPL', qty: '1.5', type: 'limit', limit_price: '101', time_in_force: 'gtc' },
    'unsupported: the venue does not take 1.5 AAPL gtc: parts of a unit only day',
  ],
  [
    'parts of a share that has none',
    { symbol: 'BRK.A', qty: '1.5', time_in_force: 'day' },
    'invalid_order: BRK.A is traded in whole quantities, not 1.5',
  ],
  [
    'a share whose trading ended since the run began',
    // What can be traded is remembered for minutes.
    { symbol: 'SPY', at_bar: 7 },
    'unsupported: SPY cannot be traded at the venue now',
  ],
  [
    'parts of a share with a trail, for whose exit there is no time in force',
    { symbol: 'AAPL', qty: '1.5', trail_percent: '5', time_in_force: 'day' },
    'unsupported: the venue does not take 1.5 AAPL gtc: no parts of a unit as trailing_stop orders',
  ],
  [
    'a stop that is to be there at once or never',
    { symbol: 'AAPL', type: 'stop', stop_price: '120', time_in_force: 'ioc' },
    'unsupported: the venue does not know ioc for stop orders for equity: day, gtc',
  ],
  [
    'shares for less than a dollar',
    { symbol: 'AAPL', qty: '0.005', type: 'limit', limit_price: '101', time_in_force: 'day' },
    'invalid_order: 0.505 is below 1, the least value of an order',
  ],
  [
    'coins whose exit would be worth too little',
    { qty: '0.11', stop_loss: '91' },
    'invalid_order: of its exit: 9.48572625 is below 10, the least value of an order',
  ],
  [
    'a price of a tenth of a cent',
    { symbol: 'AAPL', type: 'limit', limit_price: '100.123', time_in_force: 'day' },
    'invalid_order: limit_price 100.123 is not a multiple of 0.01',
  ],
]

const NO_RUNS: Case[] = [
  ['a symbol that the venue does not know', { symbol: 'NOPE/USD' }, 'alpaca does not know the symbol NOPE/USD'],
  ['a share that is not traded any more', { symbol: 'GONE' }, 'GONE cannot be traded at alpaca now'],
]

let at: WeaverAtAlpaca
const runs = new Map<string, string>()
beforeAll(async () => {
  at = await openWeaverAtAlpaca()
  // Less than what each run may spend.
  at.emulator.control.setCash('50000')
  at.emulator.control.foreignOrder({ symbol: 'ETH/USD', side: 'sell', qty: '1', limit_price: '200' })
  // Equities tick in their sessions, and this one opens at half past two.
  await at.paper.leap(Date.UTC(2025, 2, 3, 14, 30, 30) - at.paper.time.now())
  for (const [what, asked] of [...BY_THE_VENUE, ...UNSENT, ...NO_RUNS]) runs.set(what, (await at.trade(asked)).id)
  // Each has asked the venue for its symbols.
  await at.paper.pass(1_000)
  Object.assign(at.emulator.control.book.asset('SPY') ?? {}, { tradable: false })
  for (const [what] of [...BY_THE_VENUE, ...UNSENT]) await at.reach('rejected', runs.get(what))
  await at.settle()
})
afterAll(() => at.close())

const nothing = { status: 'rejected', filled: '0', fills: [], held: ['0', '0'], paused: [] }

test.each(BY_THE_VENUE)(
  '%s: the venue’s words end the order, and nothing is sent again',
  async (what, _asked, words) => {
    const id = runs.get(what)
    expect(await at.outcome(id)).toEqual({ ...nothing, sent: [1, 0], events: ['Created', 'Submitted', 'Rejected'] })
    // What it says beside may be an id.
    expect((await at.order(id)).reject_reason?.replace(/; existing order id: .*/, '')).toBe(words)
  },
)

test.each(UNSENT)('%s: refused before it leaves', async (what, _asked, words) => {
  const id = runs.get(what)
  expect(await at.outcome(id)).toEqual({ ...nothing, sent: [0, 0], events: ['Created', 'Rejected'] })
  expect((await at.order(id)).reject_reason).toBe(words)
})

test.each(NO_RUNS)('%s: the run ends before its first tick, and says why', async (what, _asked, words) => {
  const { status, error } = await at.paper.run(runs.get(what) as string)
  expect([status, error?.message]).toEqual(['error', words])
  expect(await at.orders(runs.get(what))).toEqual([])
})
