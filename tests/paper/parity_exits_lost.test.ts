/** An entry whose stop loss never came into being: a replay says so. */
import { expect, test, vi } from 'vitest'
import { openPaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 240_000 })
vi.mock('../../jobs/veda/exits.ts', async (original) => {
  const real = await original<typeof import('../../jobs/veda/exits.ts')>()
  return { ...real, planExits: () => ({ cancel: [], place: [], retire: [] }) }
})
const BUYS = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'buys', version: '1', description: 'Buys once.', params: z.object({}), window: () => ({ bars: 1 }), init: () => ({ n: 0 }),
  onWindow(ctx) {
    ctx.state.n += 1
    const [symbol] = ctx.symbols
    const { close } = ctx.window(symbol)
    if (ctx.state.n === 1) ctx.buy({ symbol, qty: '1', type: 'market', stop_loss: String(Math.floor(close[0] * 0.9)) })
  },
})
`
test('an entry that was filled without the exit that it was to have', async () => {
  const paper = await openPaperWorld({}, { 'buys/index.ts': BUYS })
  const run = await paper.start({ strategy_id: 'buys', symbols: ['SIM/USD'] })
  await paper.pass(2 * 60_000)
  const { commands } = paper.weaver.control
  await commands.replayRun(run.id, {})
  const { differences, error } = await until('the replay', async () => {
    const now = await commands.getParity(run.id)
    return now.state === 'pending' ? null : now
  })
  await paper.close()
  expect([error, differences?.map(({ what, recorded, expected }) => [what, recorded, expected])]).toEqual([
    null,
    [['exit_missing', 'none', 'for 1']],
  ])
})
