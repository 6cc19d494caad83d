/** A person gets out of positions, through the real jobs, at the simulator: over a restart, and of a run that has ended. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Parity } from '../../db/walle/queries/parity.ts'
import { readEquity } from '../../db/walle/queries/results.ts'
import { runCli } from '../../jobs/cli/main.ts'
import type { ClosingOrders } from '../../jobs/glados/close_commands.ts'
import { createTestApi, type TestApi } from '../support/api.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

/** Buys once, with a stop far below, and hears of what becomes of its orders. */
const HOLDS = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'holds', version: '1', description: 'Buys, and holds.', params: z.object({}), window: () => ({ bars: 1 }),
  init: () => ({ placed: false }),
  onWindow(ctx) {
    if (ctx.state.placed) return
    ctx.state.placed = true
    ctx.buy({ symbol: ctx.symbols[0], qty: '2', type: 'market', stop_loss: '1', reason: 'to hold' })
  },
  onOrder(ctx, order) {
    ctx.log('heard ' + order.status + ' ' + order.side + ' ' + order.type)
  },
})
`

let paper: PaperWorld
let api: TestApi
const ids = { running: '', ended: '' }

function openApi(): void {
  const importCandles = () => Promise.reject(new Error('not here'))
  const commands = { ...paper.weaver.control.commands, importCandles }
  api = createTestApi(paper.weaver.system.db, { commands })
}

beforeAll(async () => {
  paper = await openPaperWorld({}, { 'holds/index.ts': HOLDS })
  const start = async () => (await paper.start({ strategy_id: 'holds', symbols: ['SIM/USD'] })).id
  ids.running = await start()
  ids.ended = await start()
  await paper.pass(150_000)
  await paper.stop(ids.ended)
  openApi()
}, 120_000)
afterAll(() => paper.close())
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

async function press(id: string) {
  const answer = await api.post(`/api/v1/runs/${id}/close`, {})
  return { status: answer.status, body: (await answer.json()) as ClosingOrders & { code: string; message: string } }
}
const positions = (id: string) =>
  paper.query<{ qty: string }>('select trim_scale(qty)::text as qty from weaver.positions where run_id = $1', [id])
const sales = (id: string) =>
  paper.query<{ qty: string; filled: string }>(
    `select trim_scale(s.qty)::text as qty, trim_scale(s.filled_qty)::text as filled from weaver.sim_orders s
     where s.client_order_id like 'w-' || $1 || '-%' and s.side = 'sell' and s.order_type = 'market'`,
    [id],
  )

test('what a running run holds is closed once, over a restart, and its strategy hears of it and goes on', async () => {
  const id = ids.running
  expect(await positions(id)).toEqual([{ qty: '2' }])
  const pressed = await Promise.all([press(id), press(id)])
  const [first] = pressed[0].body.items
  expect(pressed.map(({ status }) => status)).toEqual([200, 200])
  expect(pressed[1].body.items[0]?.order_id).toBe(first?.order_id)
  await paper.down()
  await paper.up()
  openApi()
  await paper.pass(90_000)
  expect([await positions(id), await sales(id)]).toEqual([[{ qty: '0' }], [{ qty: '2', filled: '2' }]])
  const told = await paper.query<{ by: string; reason: string }>(
    `select payload #>> '{payload,by}' as by, payload #>> '{payload,intent,reason}' as reason from weaver.outbox
     where run_id = $1 and type = 'live.PlaceOrder' and payload #> '{payload,by}' is not null`,
    [id],
  )
  expect(told).toEqual([{ by: 'a person, by the API', reason: 'closed by hand' }])
  const heard = await paper.query(
    `select 1 from weaver.decisions where run_id = $1 and logs::text like '%heard filled sell market%'`,
    [id],
  )
  expect([heard.length, (await paper.run(id)).status]).toEqual([1, 'running'])
  expect(await press(id)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
}, 120_000)

test('played again it is amended, and says that it was a person: it was no decision of the strategy', async () => {
  await paper.pass(60_000)
  expect((await api.post(`/api/v1/runs/${ids.running}/replay`, {})).status).toBe(202)
  const parity = await until('the replay to end', async () => {
    const found = (await (await api.get(`/api/v1/runs/${ids.running}/parity`)).json()) as Parity
    return found.state === 'pending' ? null : found
  })
  expect(parity.differences).toMatchObject([{ class: 'order', what: 'by_hand', recorded: 'sell 2 SIM/USD market' }])
  expect(parity.verdict).toBe('amended')
}, 60_000)

test('what an ended run has left is closed by the command line, which waits for it; its books take it in', async () => {
  const id = ids.ended
  const before = await paper.run(id)
  const { db, config, url } = paper.weaver.system
  const points = (await readEquity(db.reader, id)).ts.length
  expect([before.status, before.stats?.open_trades, before.stats?.total_trades]).toEqual(['stopped', 1, 0])
  const env = { DATABASE_URL: url, WEAVER_DATA_DIR: config.dataDir, WEAVER_LOG_LEVEL: 'error' }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const printed = { out: '', err: '' }
  for (const [stream, name] of [
    [process.stdout, 'out'],
    [process.stderr, 'err'],
  ] as const) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed[name] += text
      return true
    })
  }
  let code: number | null = null
  const closing = runCli(['close', id, '--symbol', 'SIM/USD']).then((end) => {
    code = end
  })
  while (code === null) await paper.pass(1_000)
  await closing
  expect(printed.err).toContain('sell 2 SIM/USD is on its way\n')
  expect(printed.out).toMatch(/^SIM\/USD: sell 2 at [\d.]+; nothing is held any more\n$/)
  expect([code, await positions(id), await sales(id)]).toEqual([0, [{ qty: '0' }], [{ qty: '2', filled: '2' }]])
  await paper.pass(5_000)
  const after = await paper.run(id)
  expect([after.status, after.stopped_at]).toEqual(['stopped', before.stopped_at])
  expect([after.stats?.open_trades, after.stats?.total_trades]).toEqual([0, 1])
  const curve = await readEquity(db.reader, id)
  expect([curve.ts.length, curve.exposure.at(-1)]).toEqual([points + 1, 0])
  expect(after.stats?.final_equity).toBe(String(curve.equity.at(-1)))
  expect(await runCli(['close', id])).toBe(1)
  expect(printed.err).toContain(`weaver: run ${id} holds nothing: there is nothing to close\n`)
}, 120_000)
