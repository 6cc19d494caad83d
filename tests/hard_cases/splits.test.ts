/**
 * Shares that are held over a split, each with a stop loss at the venue: nothing is sold and no run is halted by it, whatever the
 * venue does with the order, and the stop loss comes back as the split makes it. What counts is what the venue received.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 240_000 })

/** A Monday, and its Tuesday: open from 14:30 UTC. */
const march = (day: number, hour: number, minute = 0) => Date.UTC(2025, 2, day, hour, minute)
const MORNING = march(4, 12)

interface Share {
  qty: string
  stop_loss: string
  ratio: [fresh: number, old: number]
  /** What becomes of its stop loss at the venue. */
  orders: 'cancel' | 'leave'
  max_drawdown: number
}

const SHARES: Record<string, Share> = {
  AAPL: { qty: '10', stop_loss: '80', ratio: [4, 1], orders: 'cancel', max_drawdown: 0.005 },
  SPY: { qty: '10', stop_loss: '80', ratio: [4, 1], orders: 'leave', max_drawdown: 0.005 },
  'BRK.A': { qty: '900', stop_loss: '10', ratio: [1, 10], orders: 'cancel', max_drawdown: 0.2 },
}
const NAMES = Object.keys(SHARES)
const PAUSED = `select symbol from weaver.account_positions
  where exchange = 'alpaca' and paused_reason is not null and ($1::text is null or paused_class = $1)`
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020101' }

let at: WeaverAtAlpaca
const runs = new Map<string, string>()
/** By share: what the venue had received before a person said anything, and what it received then. */
const before = new Map<string, string[]>()
const after = new Map<string, string[]>()

const moveTo = (moment: number) => at.paper.leap(moment - at.paper.time.now())
const paused = async (kind: string | null) => (await at.paper.query(PAUSED, [kind])).length
const haltOf = async (symbol: string) => (await at.paper.run(runs.get(symbol) as string)).halted

function bars(symbol: string, priceAt: (t: number) => number): void {
  at.emulator.control.market.serve(symbol, '1Min', 60_000, (t) => {
    const c = priceAt(t)
    return { t, o: c, h: c, l: c, c, v: 10, n: 2 }
  })
}

function posted(symbol: string): string[] {
  return at.emulator.control.book.orders
    .filter((order) => order.symbol === symbol)
    .map(({ side, type, qty, stop_price, status }) => [side, type, qty, stop_price ?? '', status].join(' '))
}

beforeAll(async () => {
  at = await openWeaverAtAlpaca('paper', { patienceMs: 400 })
  const { control } = at.emulator
  control.autoFill(true)
  await moveTo(march(3, 14, 29))
  for (const [symbol, { qty, stop_loss, max_drawdown }] of Object.entries(SHARES)) {
    const run = await at.trade({ symbol, qty, stop_loss, time_in_force: 'day' }, { max_drawdown })
    runs.set(symbol, run.id)
  }
  await at.until('the stop losses to lie there', async () =>
    NAMES.every((symbol) => posted(symbol)[1]?.endsWith('new')),
  )
  await at.settle()
  await moveTo(MORNING)
  for (const [symbol, { ratio, orders }] of Object.entries(SHARES)) {
    const [fresh, old] = ratio
    control.split(symbol, fresh, old, orders)
    bars(symbol, (t) => (t < MORNING ? 100 : (100 * old) / fresh))
  }
  await at.until('all to be paused', async () => (await paused('split')) === NAMES.length)
  await moveTo(march(4, 14, 29))
  await at.paper.pass(130_000)
  for (const symbol of NAMES) before.set(symbol, posted(symbol))
  const { splitPosition } = at.paper.weaver.control.commands
  for (const [symbol, { ratio }] of Object.entries(SHARES)) {
    await splitPosition({ exchange: 'alpaca', mode: 'paper' }, { symbol, ratio: ratio.join(':') }, CORR)
  }
  await at.until('all to lie there again', async () => NAMES.every((symbol) => posted(symbol)[2]?.endsWith('new')))
  await at.paper.pass(130_000)
  for (const symbol of NAMES) after.set(symbol, posted(symbol).slice(2))
})
afterAll(() => at.close())

test.each([
  ['cancelled', 'AAPL'],
  ['left as it was', 'SPY'],
])('a split of 4 for 1 with a stop loss that the venue has %s', async (_what, symbol) => {
  expect(before.get(symbol)).toEqual(['buy market 10  filled', 'sell stop 10 80 canceled'])
  expect(after.get(symbol)).toEqual(['sell stop 40 20 new'])
  expect(at.emulator.control.book.position(symbol).toString()).toBe('40')
  expect([await haltOf(symbol), await paused(null)]).toEqual([null, 0])
})

test('a split of 1 for 10 does not halt a run for what it gained and lost by it, and a crash does', async () => {
  const symbol = 'BRK.A'
  expect(before.get(symbol)).toEqual(['buy market 900  filled', 'sell stop 900 10 canceled'])
  expect(after.get(symbol)).toEqual(['sell stop 90 100 new'])
  expect(await haltOf(symbol)).toBe(null)
  bars(symbol, () => 700)
  await at.until('the halt', async () => (await haltOf(symbol)) !== null)
  expect(await haltOf(symbol)).toMatchObject({ rule: 'max_drawdown' })
})
