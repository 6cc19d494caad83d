/** Commission: what each schedule charges, in what, and by which tier. Every number is worked out by hand. */
import { expect, test } from 'vitest'
import { type BarText, playScript } from '../../tests/support/scripted.ts'
import { ALPACA_CRYPTO_TIERS, addVolume, type CostedFill, costOf, type DailyVolume } from './costs.ts'
import { Decimal } from './decimals.ts'
import { type FillRequest, fillRequestSchema, resolveFillModel } from './fill_model.ts'

const DAY = 86_400_000
const ALPACA = resolveFillModel(fillRequestSchema.parse({ commission: 'alpaca_crypto' }))
const QUIET: BarText = [100, 101, 99, 100]

function aFill(changes: Partial<Record<'qty' | 'price', string>> & Partial<Omit<CostedFill, 'qty' | 'price'>> = {}) {
  const { qty = '1', price = '100', ...rest } = changes
  const fill: CostedFill = {
    symbol: 'BTC/USD',
    side: 'sell',
    maker: false,
    time: 100 * DAY,
    ...rest,
    qty: new Decimal(qty),
    price: new Decimal(price),
  }
  return fill
}

function told(fill: CostedFill, volume: DailyVolume = []): [fee: string, feeQty: string] {
  const { fee, feeQty } = costOf(ALPACA, fill, volume)
  return [fee.toString(), feeQty.toString()]
}

test('a sale pays in money, a buy in the coin that it buys', () => {
  expect(told(aFill({ qty: '0.1', price: '40000' }))).toEqual(['10', '0'])
  // 25 bps of 0.1 are 0.00025, worth 10 at 40,000.
  expect(told(aFill({ qty: '0.1', price: '40000', side: 'buy' }))).toEqual(['10', '0.00025'])
  expect(told(aFill({ qty: '0.1', price: '40000', side: 'buy', maker: true }))).toEqual(['6', '0.00015'])
})

test('a fee in coins has the nine places that a quantity has', () => {
  // 25 bps of 0.000001234 are 0.000000003085.
  expect(told(aFill({ qty: '0.000001234', price: '40000', side: 'buy' }))).toEqual(['0.00012', '0.000000003'])
  expect(told(aFill({ qty: '0.000000001', side: 'buy' }))).toEqual(['0', '0'])
})

test('an equity costs nothing', () => {
  expect(told(aFill({ symbol: 'AAPL' }))).toEqual(['0', '0'])
})

test.each(ALPACA_CRYPTO_TIERS.map(({ from, makerBps, takerBps }) => [from, makerBps, takerBps]))(
  'from %d of volume on a maker pays %s bps and a taker %s',
  (from, makerBps, takerBps) => {
    const volume: DailyVolume = [[99, String(from)]]
    const bps = (text: unknown) => new Decimal(String(text)).div(100).toString()
    expect(told(aFill({ maker: true }), volume)[0]).toBe(bps(makerBps))
    expect(told(aFill({ maker: false }), volume)[0]).toBe(bps(takerBps))
  },
)

test.each<[string, DailyVolume, string]>([
  ['of today does not count before tomorrow', [[100, '100000']], '0.25'],
  ['of yesterday counts', [[99, '100000']], '0.22'],
  ['of thirty days ago counts', [[70, '100000']], '0.22'],
  ['of thirty-one days ago is forgotten', [[69, '100000']], '0.25'],
  [
    'of several days is added up',
    [
      [80, '40000'],
      [85, '59999.99'],
      [99, '0.01'],
    ],
    '0.22',
  ],
  [
    'a cent below a tier is not in it',
    [
      [80, '40000'],
      [85, '59999.99'],
    ],
    '0.25',
  ],
])('volume %s', (_, volume, fee) => {
  expect(told(aFill(), volume)[0]).toBe(fee)
})

test('volume is kept by day, for as many days as can matter, of coins alone', () => {
  const volume: DailyVolume = []
  const add = (day: number, changes = {}) => addVolume(ALPACA, aFill({ time: day * DAY + 5, ...changes }), volume)
  add(10, { qty: '2' })
  add(10, { qty: '0.5', side: 'buy' })
  add(12, { symbol: 'AAPL' })
  add(40)
  expect(volume).toEqual([
    [10, '250'],
    [40, '100'],
  ])
  add(41)
  expect(volume.map(([day]) => day)).toEqual([40, 41])
})

/** Bps that the only fill of an order paid, of what it traded. */
function bpsOf(order: Record<string, unknown>, bars: BarText[], fill: FillRequest = {}): number[] {
  const { simulation, fills } = playScript({
    bars: [QUIET, ...bars],
    at: { 0: [{ side: 'buy', ...order }] },
    fill: { commission: 'alpaca_crypto', ...fill },
  })
  expect(simulation.ledger.fees.gt(0)).toBe(true)
  return fills.map(({ qty, price, fee }) => Math.round((Number(fee) / (Number(qty) * Number(price))) * 10_000))
}

const LIMIT = { type: 'limit', limit_price: 99 }
test.each<[string, Record<string, unknown>, BarText[], number[]]>([
  ['a market order takes', {}, [QUIET], [25]],
  ['a stop takes', { type: 'stop', stop_price: 101 }, [QUIET], [25]],
  ['a limit that is marketable when it comes takes', LIMIT, [[98, 99, 97, 98]], [25]],
  ['a limit that waits inside its first bar makes', LIMIT, [[100, 101, 98, 100]], [15]],
  ['a limit that has rested makes, also when the market gaps over it', LIMIT, [QUIET, [98, 99, 97, 98]], [15]],
  ['an ioc limit never rests', { ...LIMIT, time_in_force: 'ioc' }, [[100, 101, 98, 100]], [25]],
  [
    'a stop-limit that fills when it is triggered takes',
    { type: 'stop_limit', stop_price: 102, limit_price: 103 },
    [[100, 104, 99, 103]],
    [25],
  ],
  [
    'a stop-limit that was triggered before and came back makes',
    { type: 'stop_limit', stop_price: 102, limit_price: 101 },
    [
      [100, 104, 99, 103],
      [103, 104, 100, 103],
    ],
    [15],
  ],
])('%s', (_, order, bars, bps) => {
  expect(bpsOf(order, bars)).toEqual(bps)
})

test('the rest of a limit that took what there was makes the market from the next bar on', () => {
  const bars: BarText[] = [
    [98, 99, 97, 98, 1],
    [98, 99, 97, 98, 10],
  ]
  expect(bpsOf({ ...LIMIT, qty: 2 }, bars, { max_volume_share: 1 })).toEqual([25, 15])
})

test('what a buy received can be sold, its exits are for that, and cash and coins add up', () => {
  const { simulation, orders, cash } = playScript({
    bars: [QUIET, QUIET, [100, 111, 99, 110], QUIET],
    at: { 0: [{ side: 'buy', qty: '0.1', take_profit: 110, stop_loss: 90 }] },
    cash: '1000',
    fill: { commission: 'alpaca_crypto' },
  })
  // Paid 10, received 0.09975; sold at 110 for 10.9725 less 15 bps, the exit having rested: 0.01645875.
  expect(orders.map(({ status, filled_qty }) => [status, filled_qty])).toEqual([
    ['filled', '0.1'],
    ['cancelled', '0'],
    ['filled', '0.09975'],
  ])
  expect(cash).toBe('1000.95604125')
  expect(simulation.ledger.positions[0]?.qty.toString()).toBe('0')
})

test('an account that can just pay the price can pay a fee in coins', () => {
  const script = { bars: [QUIET, QUIET], at: { 0: [{ side: 'buy' as const }] }, cash: '100' }
  expect(playScript({ ...script, fill: { commission: 'alpaca_crypto' } }).cash).toBe('0')
  expect(playScript({ ...script, fill: { commission_bps: 25 } }).orders[0]?.status).toBe('rejected')
})

test.each([
  ['commission_bps', '1', 'the schedule takes its place: leave it out'],
  ['commission_per_share', '1', 'the schedule takes its place: leave it out'],
  ['commission_min', '1', 'the schedule takes its place: leave it out'],
  ['allow_short', 'true', 'the venue of this schedule lends no coins: leave it out'],
  ['leverage', '2', 'the venue of this schedule lends no money: leave it at 1'],
])('the schedule does not go with %s', (name, value, why) => {
  const { error } = fillRequestSchema.safeParse({ commission: 'alpaca_crypto', [name]: value })
  expect(error?.issues).toMatchObject([{ path: [name], message: `with commission alpaca_crypto ${why}` }])
})
