/**
 * Paper runs played again from their log, as the API and the command line do it: identical when nothing was disturbed, also
 * over a restart of Weaver, and each disturbance in its class. One world, which the last tests spoil.
 */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { ApiCommands } from '../../api/dependencies.ts'
import type { Parity } from '../../db/walle/queries/parity.ts'
import { record } from '../../db/walle/record.ts'
import { runCli } from '../../jobs/cli/main.ts'
import { createTestApi, type TestApi } from '../support/api.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

const MINUTE = 60_000
const isLong = process.env.PARITY_LONG === '1'
/** Of the run that turns, before and after the restart. */
const ORDERS = isLong ? 200 : 1
const DEADLINE_MS = 120_000 * ORDERS
/** By which the restless one buys, fetches, trails and sells in its first four minutes. */
const SEED = 32_950
const NONE = { data: 0, decision: 0, order: 0, fill: 0, cost: 0 }

/** In and out again, a minute each, by as much as the closes say, with a bid far away that the next minute takes back. */
const TURNS = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'turns', version: '1', description: 'Trades at every bar.', params: z.object({}), window: () => ({ bars: 3 }),
  init: () => ({ asked: 0 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    ctx.state.asked += 1
    const { close } = ctx.window(symbol)
    const qty = String(1 + (Math.round((close[0] + close[1] + close[2]) * 100) % 3))
    ctx.cancelAll()
    if (ctx.position(symbol).qty === '0') ctx.buy({ symbol, qty, type: 'market', reason: 'turn ' + ctx.state.asked })
    else ctx.close(symbol)
    ctx.buy({ symbol, qty: '1', type: 'limit', limit_price: String(Math.floor(close[2] * 0.9)) })
  },
})
`

/** What it keeps in its module is gone with its host. */
const LEAKY = `import { defineStrategy, z } from '../api.ts'
let asked = 0
export default defineStrategy({
  id: 'leaky', version: '1', description: 'Keeps what it should not.', params: z.object({}), window: () => ({ bars: 1 }),
  onWindow(ctx) {
    asked += 1
    ctx.buy({ symbol: ctx.symbols[0], qty: String(asked), type: 'market' })
  },
})
`

let paper: PaperWorld
let api: TestApi
const ids = { turns: '', restless: '', leaky: '', rejected: '' }

async function start(strategy_id: string): Promise<string> {
  const { id } = await paper.start({ strategy_id, symbols: ['SIM/USD'], seed: SEED })
  return id
}

beforeAll(async () => {
  paper = await openPaperWorld({ SIM_COMMISSION_BPS: '5' }, { 'leaky/index.ts': LEAKY, 'turns/index.ts': TURNS })
  await paper.exchange.setFaults({ rejected: 1 })
  ids.rejected = await start('leaky')
  await trade([ids.rejected], 1)
  await paper.stop(ids.rejected)
  await paper.exchange.setFaults({})
  ids.turns = await start('turns')
  ids.restless = await start('restless')
  ids.leaky = await start('leaky')
  await trade([ids.turns, ids.leaky], ORDERS)
  await paper.down()
  await paper.up()
  await trade([ids.turns, ids.leaky], ORDERS)
  // The one that turns goes on running, at a clock that stands still.
  for (const id of [ids.restless, ids.leaky]) await paper.stop(id)
  api = createTestApi(paper.weaver.system.db, { commands: paper.weaver.control.commands as unknown as ApiCommands })
}, 3 * DEADLINE_MS)

afterAll(() => paper.close())
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

interface Placed {
  bar_index: number
  qty: string
}

function placed(id: string): Promise<Placed[]> {
  return paper.query<Placed>(
    `select bar_index::int as bar_index, trim_scale(qty)::text as qty from weaver.orders where run_id = $1 order by ordinal`,
    [id],
  )
}

/** Until each of the runs has placed so many orders more, and a minute later. */
async function trade(runs: readonly string[], orders: number): Promise<void> {
  const before = await Promise.all(runs.map(placed))
  await until(
    `${orders} more orders of ${runs.length} runs`,
    async () => {
      await paper.pass(MINUTE)
      const now = await Promise.all(runs.map(placed))
      return now.every((list, index) => list.length >= (before[index]?.length ?? 0) + orders) ? true : null
    },
    DEADLINE_MS,
  )
  await paper.pass(MINUTE)
}

interface Called {
  status: number
  body: Parity & { code: string; message: string; id: string; run: { id: string }; parity: Partial<Parity> | null }
}

async function call(method: 'get' | 'post', path: string, body?: object): Promise<Called> {
  const answer = method === 'get' ? await api.get(`/api/v1/runs/${path}`) : await api.post(`/api/v1/runs/${path}`, body)
  return { status: answer.status, body: (await answer.json()) as Called['body'] }
}

const getParity = async (id: string) => (await call('get', `${id}/parity`)).body

async function replay(id: string, request?: object): Promise<Parity> {
  const { status, body } = await call('post', `${id}/replay`, request)
  expect([status, body.state, body.verdict, body.tolerance_bps]).toEqual([202, 'pending', null, 10])
  return replayed(id)
}

const replayed = (id: string) =>
  until('the replay to end', async () => {
    const parity = await getParity(id)
    return parity.state === 'pending' ? null : parity
  })

/** `weaver replay`, in this process, beside the workers that are there. */
async function weaver(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const ended = { out: '', err: '' }
  const { dataDir } = paper.weaver.system.config
  const env = { DATABASE_URL: paper.weaver.system.url, WEAVER_DATA_DIR: dataDir, WEAVER_LOG_LEVEL: 'error' }
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  for (const [stream, name] of [
    [process.stdout, 'out'],
    [process.stderr, 'err'],
  ] as const) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      ended[name] += text
      return true
    })
  }
  const code = await runCli(['replay', ...args])
  vi.restoreAllMocks()
  return { code, ...ended }
}

const kinds = ({ differences }: Parity) => [...new Set(differences?.map(({ class: name, what }) => `${name}/${what}`))]

test(`a run that nothing disturbed is identical while it still runs, over a restart of Weaver too${isLong ? '' : ' (PARITY_LONG=1 for 400 orders)'}`, async () => {
  expect((await getParity(ids.turns)).state).toBe('none')
  const parity = await replay(ids.turns)
  expect((await paper.run(ids.turns)).status).toBe('running')
  expect([parity.error, parity.differences, parity.notes]).toEqual([null, [], []])
  expect([parity.verdict, parity.counts]).toEqual(['identical', NONE])
  const [booked] = await paper.query<{ ticks: number; orders: number; fills: number; fees: string }>(
    `select (select count(*)::int from weaver.clock_ticks where run_id = $1 and missed_reason is null) as ticks,
       (select count(*)::int from weaver.orders where run_id = $1) as orders, count(*)::int as fills,
       trim_scale(sum(fee))::text as fees from weaver.fills where run_id = $1`,
    [ids.turns],
  )
  expect(parity).toMatchObject({ ...booked, fees: { booked: booked?.fees, model: '0' } })
  const [asked] = await paper.query<{ market: number; cancels: number }>(
    `select (select count(*)::int from weaver.orders where run_id = $1 and order_type = 'market') as market,
       (select count(*)::int from weaver.orders where run_id = $1 and status = 'cancelled') as cancels`,
    [ids.turns],
  )
  expect(asked?.market).toBeGreaterThan(1)
  expect(asked?.cancels).toBe((asked?.market as number) - 1)
  // A market order pays half of the spread, and what the price did since the bar's open.
  // Of what was asked for last the bar may not have been seen.
  expect(parity.unjudged).toBeLessThanOrEqual(2)
  expect((parity.slippage?.orders ?? 0) + ((parity.unjudged ?? 0) > 0 ? 1 : 0)).toBe(asked?.market)
  expect(Math.abs(parity.slippage?.mean_bps as number)).toBeLessThan(10)
}, 60_000)

test('one that has stopped is identical too, on the command line: exit code 0, and in JSON what the API says', async () => {
  await paper.stop(ids.turns)
  const { code, out } = await weaver(ids.turns, '--json')
  const parity = JSON.parse(out) as Parity
  expect([code, parity.verdict, parity.differences]).toEqual([0, 'identical', []])
  expect(await getParity(ids.turns)).toEqual(parity)
  // A clone is told how well its source did.
  const { verdict, counts, state, replayed_at } = parity
  const clone = await call('post', `${ids.turns}/clone`, {})
  expect([clone.status, clone.body.parity]).toEqual([201, { state, verdict, counts, replayed_at }])
  const again = await call('post', `${clone.body.run.id}/clone`, {})
  expect(again.body.parity).toEqual({ state: 'none', verdict: null, counts: null, replayed_at: null })
}, 60_000)

test('one that fetches and hears of its orders takes the same decisions; what differs is what its venue refuses', async () => {
  const did = await paper.query(
    `select (select count(*) > count(distinct payload->'payload'->>'bar_index') from weaver.outbox
         where run_id = $1 and type = 'strategy.FetchWindow') as fetched,
       exists (select from weaver.hops where run_id = $1 and phase = 'order') as heard`,
    [ids.restless],
  )
  expect(did).toEqual([{ fetched: true, heard: true }])
  // While a replay is under way it is given again.
  const one = await call('post', `${ids.restless}/replay`)
  const other = await call('post', `${ids.restless}/replay`, { tolerance_bps: 3 })
  expect([one.status, one.body.state, other.status]).toEqual([202, 'pending', 202])
  expect(other.body).toEqual({ ...one.body, progress: other.body.progress })
  const { counts, differences, error } = await replayed(ids.restless)
  expect(error).toBeNull()
  expect(counts).toEqual({ ...NONE, order: differences?.length })
  for (const { cause } of differences ?? []) expect(cause).toMatch(/the order was refused: .*is not a multiple of 0.01/)
}, 60_000)

test('decision: what a strategy keeps outside of its state was lost with its host; the exit code is 1', async () => {
  const { code, out } = await weaver(ids.leaky)
  const parity = await getParity(ids.leaky)
  expect([parity.verdict, kinds(parity)]).toEqual(['diverged', ['decision/intents']])
  const orders = await placed(ids.leaky)
  const first = orders.findIndex(({ qty }, index) => qty !== String(index + 1))
  expect(parity.first_divergence).toMatchObject({
    ...{ class: 'decision', bar_index: orders[first]?.bar_index },
    ...{ recorded: 'buy 1 SIM/USD market', expected: `buy ${first + 1} SIM/USD market` },
  })
  expect([code, out.split('\n')[0]]).toEqual([1, `run ${ids.leaky}: diverged through ${parity.through}`])
  expect(out).toContain(`recorded buy 1 SIM/USD market; expected buy ${first + 1} SIM/USD market`)
}, 60_000)

test('order: the venue rejects what the model fills', async () => {
  const parity = await replay(ids.rejected)
  expect(parity.counts).toEqual({ ...NONE, order: (await placed(ids.rejected)).length })
  expect(kinds(parity)).toEqual(['order/rejected'])
  expect(parity.first_divergence?.recorded).toBe('rejected: venue: rejected by the market')
  expect(parity.first_divergence?.expected).toMatch(/^(filled: 1 at|accepted)/)
}, 60_000)

test('data, fill and cost: a stored candle was changed since, and what is booked is not what the venue reported', async () => {
  const [bar] = await paper.query<{ time: Date; open: string; high: string; low: string; close: string }>(
    `select "timestamp" as time, open, high, low, close from weaver.candles
     where symbol = 'SIM/USD' and timeframe = '1m'
       and "timestamp" < (select min(ts) from weaver.clock_ticks where run_id = $1 and event_id is not null)
     order by "timestamp" desc limit 1`,
    [ids.turns],
  )
  if (!bar) throw new Error('no candle is stored')
  const { time, ...prices } = bar
  const candle = { time: time.getTime(), ...prices, volume: '12345', trade_count: null }
  const kind = { symbol: 'SIM/USD', timeframe: '1m', adjustment: 'raw', feed: 'sim' } as const
  await paper.weaver.system.db.write((tx) =>
    record(tx, { writes: [{ kind: 'store_candles', candles: [candle], ...kind }], events: [] }),
  )
  const [dear, lost] = await paper.query<{ id: string; order_id: string }>(
    'select id, order_id from weaver.fills where run_id = $1 order by ordinal limit 2',
    [ids.turns],
  )
  await paper.query('update weaver.fills set fee = fee + 1 where id = $1', [dear?.id])
  await paper.query('delete from weaver.fills where id = $1', [lost?.id])
  const { counts, differences } = await replay(ids.turns)
  expect(counts).toEqual({ ...NONE, data: 1, fill: 1, cost: 1 })
  expect(differences?.toSorted((one, other) => one.class.localeCompare(other.class))).toMatchObject([
    { class: 'cost', what: 'booked', order_id: dear?.order_id, symbol: 'SIM/USD' },
    { class: 'data', what: 'revised', symbol: 'SIM/USD', ts: time.toISOString() },
    { class: 'fill', what: 'missing', order_id: lost?.order_id, recorded: null },
  ])
  expect(differences?.find(({ what }) => what === 'revised')?.expected).toContain('volume 12345')
}, 60_000)

test('what cannot be replayed is refused, each in its way', async () => {
  const refusal = async (method: 'get' | 'post', path: string, body?: object) => {
    const { status, body: said } = await call(method, path, body)
    return [status, said.code]
  }
  expect(await refusal('post', `${ids.leaky}/replay`, { tolerance_bps: -1 })).toEqual([422, 'VALIDATION_ERROR'])
  const nobody = '00000000-0000-4000-8000-000000000000'
  for (const id of [nobody, 'x']) {
    expect(await refusal('post', `${id}/replay`)).toEqual([404, 'NOT_FOUND'])
    expect(await refusal('get', `${id}/parity`)).toEqual([404, 'NOT_FOUND'])
  }
  const sold = { strategy_id: 'leaky', symbols: ['SIM/USD'] as string[], timeframe: '1m' } as const
  const { commands } = paper.weaver.control
  const pending = await commands.createRun({ ...sold, mode: 'paper', exchange: 'sim' }, { corrId: ids.leaky })
  expect([(await getParity(pending.id)).state, await refusal('post', `${pending.id}/replay`)]).toEqual([
    'none',
    [409, 'CONFLICT'],
  ])
  const times = { start_time: '2025-03-03T13:55:00Z', end_time: '2025-03-03T14:00:00Z' }
  const backtest = await commands.createRun({ ...sold, ...times, mode: 'backtest' }, { corrId: ids.leaky })
  expect(await refusal('post', `${backtest.id}/replay`)).toEqual([422, 'INVALID_RUN_MODE'])
  expect(await refusal('get', `${backtest.id}/parity`)).toEqual([422, 'INVALID_RUN_MODE'])
  expect((await call('post', `${backtest.id}/clone`, {})).body.parity).toBeNull()
  expect([(await weaver(ids.leaky, '--tolerance-bps', 'x')).code, (await weaver()).code]).toEqual([2, 2])
  expect(await weaver(nobody)).toMatchObject({ code: 1, out: '' })
}, 60_000)

test('a run whose beginning has left the log is an error, no divergence', async () => {
  // As retention leaves it; the table itself lets nobody delete.
  await paper.query(`select set_config('session_replication_role', 'replica', false)`)
  await paper.query(`delete from weaver.outbox where run_id = $1 and type = 'run.Created'`, [ids.rejected])
  await paper.query(`select set_config('session_replication_role', 'origin', false)`)
  const { code, out } = await weaver(ids.rejected)
  const { state, verdict, differences, error } = await getParity(ids.rejected)
  const why = `the beginning of run ${ids.rejected} is not in the log any more: its events were kept for WEAVER_AUDIT_DAYS, and those are over`
  expect({ state, verdict, differences, error }).toEqual({
    state: 'error',
    verdict: null,
    differences: null,
    error: why,
  })
  expect([code, out.trim()]).toEqual([1, `run ${ids.rejected} could not be replayed: ${why}`])
}, 60_000)
