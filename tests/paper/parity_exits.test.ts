/** Entries with a stop loss and a take profit close by, one after the other: a replay finds nothing where nothing was wrong. */
import { expect, test, vi } from 'vitest'
import { openPaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 240_000 })

const MINUTE = 60_000
const BRACKETS = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'brackets', version: '1', description: 'Buys when it holds nothing.', params: z.object({}),
  window: () => ({ bars: 1 }), init: () => ({ n: 0 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    if (ctx.position(symbol).qty !== '0') return
    ctx.cancelAll()
    ctx.state.n += 1
    const { close } = ctx.window(symbol)
    const at = (part) => (close[0] * part).toFixed(2)
    const exits = ctx.state.n % 2 === 0 ? { trail_percent: '0.05' } : { stop_loss: at(0.9995), take_profit: at(1.0005) }
    ctx.buy({ symbol, qty: '2', type: 'market', ...exits })
  },
})
`

test('exits that came to life, made way for each other, filled and were spent are what they should be', async () => {
  const paper = await openPaperWorld({}, { 'brackets/index.ts': BRACKETS })
  const run = await paper.start({ strategy_id: 'brackets', symbols: ['SIM/USD'] })
  await paper.pass(8 * MINUTE)
  await paper.stop(run.id)
  const { commands } = paper.weaver.control
  await commands.replayRun(run.id, {})
  const { differences, error } = await until('the replay', async () => {
    const now = await commands.getParity(run.id)
    return now.state === 'pending' ? null : now
  })
  const [filled] = await paper.query<{ exits: number }>(
    `select count(*)::int as exits from weaver.orders
     where run_id = $1 and parent_order_id is not null and status = 'filled'`,
    [run.id],
  )
  await paper.close()
  expect([error, differences]).toEqual([null, []])
  expect(filled?.exits).toBeGreaterThan(0)
})
