/** Risk limits in backtests, in both drivers: what they refuse is on the order's row, and the run goes on. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TIMEFRAME_MS } from '../strategies/api.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'

/** Two days of hours: from 100 down to 77, then up again. */
const BARS = 48
const close = Float64Array.from({ length: BARS }, (_, bar) => 100 - (bar < 24 ? bar : 47 - bar))
const columns = {
  time: Float64Array.from({ length: BARS }, (_, bar) => Date.UTC(2024, 0, 1) + bar * TIMEFRAME_MS['1h']),
  ...{ open: close, high: close.map((price) => price + 1), low: close.map((price) => price - 1), close },
  volume: new Float64Array(BARS).fill(10),
}

/** Buys one more every fourth bar, and sells one at the last. */
const ADDING = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'adding', version: '1', description: 'buys on', params: z.object({}), window: () => ({ bars: 1 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    if (ctx.bar_index === 45) ctx.sell({ symbol, qty: 1, type: 'market' })
    else if (ctx.bar_index % 4 === 0) ctx.buy({ symbol, qty: 1, type: 'market' })
  },
})
`

/** At one tick three orders to buy two, at a later one three to sell: each is placed before the one before it has filled. */
const CROWDED = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'crowded', version: '1', description: 'several orders at a tick', 
  params: z.object({ type: z.enum(['market', 'limit']).default('market'), sells: z.number().default(2) }),
  window: () => ({ bars: 1 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    const order = { symbol, qty: 2, type: ctx.params.type, ...(ctx.params.type === 'limit' && { limit_price: 100 }) }
    if (ctx.bar_index === 2) for (let n = 0; n < 3; n++) ctx.buy(order)
    const close = { symbol, qty: ctx.params.sells, type: 'market' }
    if (ctx.bar_index === 4) for (let n = 0; n < 3; n++) ctx.sell(close)
  },
})
`

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess(
    { 'local/adding.ts': ADDING, 'local/crowded.ts': CROWDED },
    { WEAVER_RISK_MAX_POSITION: '9' },
  )
  await weaver.store('BTC/USD', '1h', columns)
})
afterAll(() => weaver?.close())

async function play(risk: object, driver: 'chunk' | 'chain', changes: object = {}) {
  const run = await weaver.backtest(
    { strategy_id: 'adding', symbols: ['BTC/USD'], timeframe: '1h', risk, driver, ...changes },
    columns,
  )
  expect([run.status, run.error]).toEqual(['completed', null])
  const refused = await weaver.system.db.reader.query<{ bar_index: number; reject_rule: string }>(
    "select bar_index, reject_rule from weaver.orders where run_id = $1 and status = 'rejected' order by ordinal",
    [run.id],
  )
  return { run, refused: refused.map(({ bar_index, reject_rule }) => `${bar_index} ${reject_rule}`) }
}

test.each(['chunk', 'chain'] as const)(
  'as a %s: after a loss the day opens no more, and the next one does',
  async (driver) => {
    const { run, refused } = await play({ max_daily_loss: 30, max_position: 100 }, driver)
    // The installation allows less than the run asks for.
    expect([run.risk, run.own_risk]).toEqual([
      { max_daily_loss: 30, max_position: 9 },
      { max_daily_loss: 30, max_position: 100 },
    ])
    // A bar costs what is held: 1 in bars 2 to 5, 2 to 9, 3 to 13, then 4: at bar 15 it is 32. The sale is let through.
    expect(refused).toEqual(['16 max_daily_loss', '20 max_daily_loss', '44 max_position'])
  },
)

test.each(['chunk', 'chain'] as const)('as a %s: after a drawdown the run opens no more', async (driver) => {
  const { refused } = await play({ max_drawdown: 0.0003 }, driver)
  const bars = [16, 20, 24, 28, 32, 36, 40, 44]
  expect(refused).toEqual(bars.map((bar) => `${bar} max_drawdown`))
})

test('a limit of the installation holds where the run has none, and is not the run’s own', async () => {
  const { run, refused } = await play({}, 'chunk')
  expect([run.risk, run.own_risk]).toEqual([{ max_position: 9 }, {}])
  expect(refused).toEqual(['36 max_position', '40 max_position', '44 max_position'])
})

const SHORTS = { strategy_id: 'crowded', fill: { allow_short: true } }

test.each(['chunk', 'chain'] as const)(
  'as a %s: orders are judged with all that is open on their side',
  async (driver) => {
    const position = { max_position: 4, max_order_notional: 250 }
    for (const type of ['market', 'limit']) {
      const { refused } = await play(position, driver, { ...SHORTS, config: { type, sells: 4 } })
      expect([type, refused]).toEqual([type, ['2 max_position', '4 max_order_notional', '4 max_order_notional']])
    }
  },
)

test.each(['chunk', 'chain'] as const)(
  'as a %s: what closes is let through, however many orders there are',
  async (driver) => {
    const { refused } = await play({ max_open_orders: 2, max_orders_per_minute: 2 }, driver, SHORTS)
    expect(refused).toEqual(['2 max_open_orders', '4 max_open_orders'])
  },
)
