/**
 * A share that is held over a split, with a stop loss at the venue: nothing is sold and no run is halted by it, whatever the
 * venue does with the order, and the stop loss comes back as the split makes it. What counts is what the venue received.
 */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { RunRow } from '../../db/walle/rows.ts'
import { type Asked, openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** Mondays and Tuesdays of June: open from 13:30 UTC. */
const june = (day: number, hour: number, minute = 0) => Date.UTC(2025, 5, day, hour, minute)

let at: WeaverAtAlpaca
const moveTo = (moment: number) => at.paper.leap(moment - at.paper.time.now())
beforeAll(async () => {
  at = await openWeaverAtAlpaca('paper', { patienceMs: 400 })
})
afterEach(() => at.reset())
afterAll(() => at.close())

function bars(symbol: string, priceAt: (t: number) => number): void {
  at.emulator.control.market.serve(symbol, '1Min', 60_000, (t) => {
    const c = priceAt(t)
    return { t, o: c, h: c, l: c, c, v: 10, n: 2 }
  })
}

/** In the session of that day, the run holds what it has bought and its stop loss lies at the venue. */
async function entered(day: number, asked: Asked, risk: object): Promise<RunRow> {
  at.emulator.control.autoFill(true)
  await moveTo(june(day, 13, 29))
  const run = await at.trade({ time_in_force: 'day', ...asked }, risk)
  await at.until('the stop loss to be accepted', async () => {
    const orders = await at.orders()
    return orders.length === 2 && orders[1]?.status === 'accepted'
  })
  return run
}

/** Before the opening of that day; and what Weaver does of itself then. */
async function splits(symbol: string, day: number, [fresh, old]: [number, number], orders: 'cancel' | 'leave') {
  await moveTo(june(day, 11))
  at.emulator.control.split(symbol, fresh, old, orders)
  bars(symbol, (t) => (t < june(day, 11) ? 100 : (100 * old) / fresh))
  await at.until('the symbol to be paused', async () => {
    const rows = await at.paper.query<{ why: string | null }>(
      `select paused_class as why from weaver.account_positions where exchange = 'alpaca' and symbol = $1`,
      [symbol],
    )
    return rows[0]?.why === 'split'
  })
  await at.paper.pass(10_000)
}

/** What the venue has received. */
const posted = (symbol: string) =>
  at.emulator.control.book.orders
    .filter((order) => order.symbol === symbol)
    .map(({ side, type, qty, stop_price, status }) => [side, type, qty, stop_price ?? '', status].join(' '))
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020101' }
const said = (symbol: string, ratio: string) =>
  at.paper.weaver.control.commands.splitPosition({ exchange: 'alpaca', mode: 'paper' }, { symbol, ratio }, CORR)
/** The session goes on: ticks, and what they set off. */
async function trades(day: number): Promise<void> {
  await moveTo(june(day, 13, 29))
  await at.paper.pass(150_000)
}
const haltOf = async ({ id }: RunRow) => (await at.paper.run(id)).halted

test.each([
  ['cancelled', 'cancel', 'AAPL', 2],
  ['left as it was', 'leave', 'SPY', 9],
] as const)('a split of 4 for 1 with a stop loss that the venue has %s', async (_what, orders, symbol, day) => {
  const run = await entered(day, { symbol, qty: '10', stop_loss: '80' }, { max_drawdown: 0.005 })
  await splits(symbol, day + 1, [4, 1], orders)
  await trades(day + 1)
  expect(posted(symbol)).toEqual(['buy market 10  filled', 'sell stop 10 80 canceled'])
  await said(symbol, '4:1')
  await at.until('it to lie there again', async () => posted(symbol).length === 3)
  await at.settle()
  expect(posted(symbol).slice(2)).toEqual(['sell stop 40 20 new'])
  expect(at.emulator.control.book.position(symbol).toString()).toBe('40')
  expect(await haltOf(run)).toBe(null)
})

test('a split of 1 for 10 does not halt a run for what it gained and lost by it, and a crash does', async () => {
  const symbol = 'BRK.A'
  const run = await entered(16, { symbol, qty: '900', stop_loss: '10' }, { max_drawdown: 0.2 })
  await splits(symbol, 17, [1, 10], 'cancel')
  await trades(17)
  await said(symbol, '1:10')
  await at.until('it to lie there again', async () => posted(symbol).length === 3)
  await at.paper.pass(130_000)
  expect(posted(symbol).slice(2)).toEqual(['sell stop 90 100 new'])
  expect(await haltOf(run)).toBe(null)
  bars(symbol, () => 700)
  await at.until('the halt', async () => (await haltOf(run)) !== null)
  expect(await haltOf(run)).toMatchObject({ rule: 'max_drawdown' })
})
