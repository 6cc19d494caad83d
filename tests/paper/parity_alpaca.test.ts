/**
 * Paper runs at the emulated Alpaca, replayed. PARITY_LONG=1 has some scenarios more, of what is tested elsewhere one by one.
 * Bars are 100 / 101 / 99 / 100 unless a test sets others; orders fill as the test says, or at the market's price.
 */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Parity } from '../../db/walle/queries/parity.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { rebuildRun } from '../../jobs/history/rebuild.ts'
import { type Emulator, startEmulator } from '../support/alpaca/emulator.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { pause, until } from '../support/until.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const MINUTE = 60_000
const START = Date.UTC(2025, 2, 3, 14, 0, 30)
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const isLong = process.env.PARITY_LONG === '1'
const SYMBOLS = ['BTC/USD', 'ETH/USD', 'BTC/USDT', 'AAPL', 'SPY']

const PLAYS = `import { defineStrategy, z } from '../api.ts'
function act(ctx, { do: what, symbol = ctx.symbols[0], order = {} }) {
  if (what === 'cancel') ctx.cancelAll(symbol)
  else if (what === 'close') ctx.close(symbol)
  else ctx[what]({ symbol, ...order })
}
export default defineStrategy({
  id: 'plays', version: '1', description: 'Does at each bar what it is told.',
  params: z.object({ script: z.string().default('[]'), on_fill: z.string().default('[]'), fetches: z.boolean().default(false), bars: z.number().default(3) }),
  window: ({ bars }) => ({ bars }),
  init: () => ({ bars: 0, zeta: 1, alpha: { y: 0, b: 0 } }),
  onTick(ctx) { if (ctx.params.fetches) ctx.fetch({ symbol: ctx.symbols[0], timeframe: '5m', bars: 4 }) },
  onWindow(ctx) {
    ctx.state.bars += 1
    for (const step of JSON.parse(ctx.params.script)) if (step.bar === ctx.state.bars) act(ctx, step)
  },
  onOrder(ctx, order) {
    if (order.status !== 'filled' || order.side !== 'buy' || order.parent_id !== null) return
    for (const step of JSON.parse(ctx.params.on_fill)) act(ctx, step)
  },
})
`

interface Step {
  bar?: number
  do: 'buy' | 'sell' | 'close' | 'cancel'
  symbol?: string
  order?: Record<string, unknown>
}

let paper: PaperWorld
let emulator: Emulator
type Ohlc = [number, number, number, number]
const own = new Map<string, Ohlc>()
const barAt = (symbol: string, t: number): Ohlc => own.get(`${symbol} ${t}`) ?? [100, 101, 99, 100]

beforeAll(async () => {
  let world: PaperWorld | null = null
  const now = () => world?.time.now() ?? START
  emulator = await startEmulator({ mode: 'paper', now, ghostMs: 0, rateLimit: 100_000 })
  for (const symbol of SYMBOLS) {
    for (const [timeframe, step] of Object.entries({ '1Min': MINUTE, '5Min': 5 * MINUTE, '1Hour': 60 * MINUTE })) {
      emulator.control.market.serve(symbol, timeframe, step, (t) => {
        const [o, h, l, c] = timeframe === '1Min' ? barAt(symbol, t) : [100, 101, 99, 100]
        return { t, o, h, l, c, v: 10, n: 2 }
      })
    }
    emulator.control.setPrice(symbol, '100')
  }
  world = await openPaperWorld(emulator.env, { 'plays/index.ts': PLAYS })
  paper = world
})
afterAll(async () => {
  await paper.close()
  await emulator.close()
})
const started: string[] = []
afterEach(async () => {
  emulator.control.autoFill(false)
  emulator.control.fillInParts(null)
  emulator.control.updates.drop(0)
  for (const symbol of SYMBOLS) emulator.control.setPrice(symbol, '100')
  for (const id of started.splice(0)) if ((await paper.run(id)).status === 'running') await paper.stop(id)
  // What has been is history, also for the test after this one.
  for (const key of own.keys()) if (Number(key.split(' ')[1]) >= boundary()) own.delete(key)
  const ended = ['filled', 'canceled', 'expired', 'replaced', 'rejected']
  for (const order of emulator.control.book.orders)
    if (!ended.includes(order.status)) emulator.control.cancelAtVenue(order.id)
  await paper.pass(66_000)
})

interface Play {
  script?: Step[]
  on_fill?: Step[]
  fetches?: boolean
  bars?: number
  symbols?: string[]
  [other: string]: unknown
}

async function play({
  script = [],
  on_fill = [],
  fetches = false,
  bars = 3,
  symbols = ['BTC/USD'],
  ...more
}: Play): Promise<string> {
  const config = { script: JSON.stringify(script), on_fill: JSON.stringify(on_fill), fetches, bars }
  const run = await paper.start({ strategy_id: 'plays', exchange: 'alpaca', symbols, config, ...more })
  started.push(run.id)
  return run.id
}

const boundary = () => Math.floor(paper.time.now() / MINUTE) * MINUTE
/** To that second of the minute that has begun, or of the next one. */
async function toSecond(second: number): Promise<void> {
  const at = boundary() + second * 1_000
  await paper.pass((at > paper.time.now() ? at : at + MINUTE) - paper.time.now())
  await pause(30)
  await paper.pass(0)
}
async function minutes(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await toSecond(45)
}
const orders = (id: string) =>
  paper.query<{
    client_order_id: string
    order_type: string
    side: string
    status: string
    filled: string
    avg: string | null
    why: string | null
    bar: number
    parent: boolean
  }>(
    `select client_order_id, order_type, side, status, trim_scale(filled_qty)::text as filled, trim_scale(filled_avg_price)::text as avg,
      reject_reason as why, bar_index::int as bar, parent_order_id is not null as parent from weaver.orders where run_id = $1 order by ordinal`,
    [id],
  )

async function replay(id: string): Promise<Parity> {
  const { commands } = paper.weaver.control
  await commands.replayRun(id, {})
  return until('the replay to end', async () => {
    const parity = await commands.getParity(id)
    return parity.state === 'pending' ? null : parity
  })
}
const told = ({ differences, error }: Parity) => ({
  error,
  differences: (differences ?? []).map(({ class: name, what, cause }) => `${name}/${what} ${cause}`),
})
const SAME = { error: null, differences: [] as string[] }
const kinds = ({ differences }: Parity) => (differences ?? []).map(({ class: name, what }) => `${name}/${what}`)
async function identical(id: string): Promise<Parity> {
  const parity = await replay(id)
  expect(told(parity)).toEqual(SAME)
  return parity
}
/** Minute by minute, two seconds into it, until the run has so many orders that have been sent. */
async function placed(id: string, count: number): Promise<void> {
  for (let n = 0; n < 8; n++) {
    await toSecond(2)
    if ((await orders(id)).filter(({ status }) => status === 'accepted' || status === 'filled').length >= count) return
  }
  throw new Error(JSON.stringify(await orders(id)))
}

test('undisturbed: two coins, a fetched timeframe, parts, limits, an exit; fees are told once, over the same orders', async () => {
  emulator.control.autoFill(true)
  emulator.control.fillInParts('4')
  const id = await play({
    symbols: ['BTC/USD', 'ETH/USD'],
    fetches: true,
    fill: { commission: 'alpaca_crypto' },
    script: [
      { bar: 1, do: 'buy', order: { qty: '10', type: 'market' } },
      { bar: 1, do: 'buy', symbol: 'ETH/USD', order: { qty: '1', type: 'limit', limit_price: '50' } },
      { bar: 2, do: 'cancel', symbol: 'ETH/USD' },
      { bar: 3, do: 'close' },
      { bar: 3, do: 'buy', symbol: 'ETH/USD', order: { qty: '3', type: 'limit', limit_price: '105' } },
      { bar: 4, do: 'buy', symbol: 'ETH/USD', order: { qty: '2', type: 'market', stop_loss: '90' } },
    ],
  })
  await minutes(5)
  await paper.stop(id)
  const { fees } = await identical(id)
  const [booked] = await paper.query<{ fee: string }>(
    'select trim_scale(sum(fee))::text as fee from weaver.fills where run_id = $1',
    [id],
  )
  expect(fees?.booked).toBe(booked?.fee)
  expect(Number(fees?.model)).toBeCloseTo(Number(booked?.fee), 4)
})

test.runIf(isLong)('undisturbed, over a restart of Weaver, updates lost and found by comparing', async () => {
  const id = await play({
    script: [
      { bar: 1, do: 'buy', order: { qty: '10', type: 'market' } },
      { bar: 4, do: 'close' },
    ],
  })
  await placed(id, 1)
  const [order] = await orders(id)
  emulator.control.updates.drop(1)
  emulator.control.fill(order?.client_order_id as string, '10', '100')
  await minutes(2)
  await paper.down()
  await paper.up()
  emulator.control.autoFill(true)
  await minutes(3)
  await identical(id)
})

test('shares in the session: a market order, a stop-limit and a trailing stop that fill where the bars have them', async () => {
  await paper.leap(Date.UTC(2025, 2, 3, 14, 40, 30) - paper.time.now())
  await paper.pass(61_000)
  const day = { time_in_force: 'day' }
  const id = await play({
    symbols: ['AAPL'],
    script: [
      { bar: 1, do: 'buy', order: { qty: '10', type: 'market', ...day } },
      { bar: 2, do: 'sell', order: { qty: '5', type: 'stop_limit', stop_price: '99.5', limit_price: '99.2', ...day } },
      { bar: 2, do: 'sell', order: { qty: '5', type: 'trailing_stop', trail_percent: '0.5', ...day } },
    ],
  })
  emulator.control.autoFill(true)
  await placed(id, 3)
  for (const { client_order_id, status } of await orders(id)) {
    if (status === 'accepted') emulator.control.fill(client_order_id, '5', '99.5')
  }
  await minutes(2)
  await identical(id)
})

test.runIf(isLong)('an attached trailing stop that protects an entry, and sells later', async () => {
  const id = await play({
    symbols: ['AAPL'],
    script: [{ bar: 1, do: 'buy', order: { qty: '10', type: 'market', trail_percent: '2', time_in_force: 'day' } }],
  })
  emulator.control.autoFill(true)
  await placed(id, 2)
  // In the minute after it falls.
  await toSecond(45)
  const at = boundary() + MINUTE
  own.set(`AAPL ${at}`, [100, 100, 95, 96])
  await toSecond(20)
  const exit = (await orders(id)).find(({ parent }) => parent)
  if (exit) emulator.control.fill(exit.client_order_id, '10', '98')
  await minutes(3)
  await identical(id)
})

test.runIf(isLong)(
  'a take profit that its strategy places in onOrder, in a minute whose high came before that',
  async () => {
    const id = await play({
      script: [{ bar: 1, do: 'buy', order: { qty: '10', type: 'limit', limit_price: '98' } }],
      on_fill: [{ do: 'sell', order: { qty: '9.975', type: 'limit', limit_price: '102' } }],
    })
    await placed(id, 1)
    // This minute goes to 103 in the fifth second and to 97.5 in the twentieth; from there on it stands.
    await toSecond(10)
    const at = boundary()
    own.set(`BTC/USD ${at}`, [100, 103, 97.5, 97.6])
    for (let n = 1; n < 10; n++) own.set(`BTC/USD ${at + n * MINUTE}`, [97.6, 97.8, 97.4, 97.6])
    await toSecond(20)
    const entry = (await orders(id)).find(({ side }) => side === 'buy')
    emulator.control.fill(entry?.client_order_id as string, '10', '98')
    await minutes(3)
    // Who waits in the book pays less than what is booked at first.
    const { verdict, differences } = await replay(id)
    expect(differences?.filter(({ what }) => what !== 'kept')).toEqual([])
    expect(['identical', 'amended']).toContain(verdict)
  },
)

test.runIf(isLong)('PARITY_LONG: a run that was halted by its drawdown and resumed by a person', async () => {
  emulator.control.autoFill(true)
  const id = await play({
    risk: { max_drawdown: 0.002 },
    script: [
      { bar: 1, do: 'buy', order: { qty: '100', type: 'market' } },
      { bar: 5, do: 'close' },
      { bar: 6, do: 'buy', order: { qty: '1', type: 'market' } },
      { bar: 7, do: 'buy', order: { qty: '1', type: 'limit', limit_price: '50' } },
    ],
  })
  await toSecond(2)
  const at = boundary()
  for (let n = 1; n < 12; n++) own.set(`BTC/USD ${at + n * MINUTE}`, n === 1 ? [100, 100, 94, 95] : [95, 96, 94, 95])
  emulator.control.setPrice('BTC/USD', '95')
  await minutes(3)
  const [halted] = await paper.query<{ halted: object | null }>('select halted from weaver.runs where id = $1', [id])
  expect(halted?.halted).not.toBeNull()
  await paper.weaver.control.commands.resumeRun(id, 'me', CORR)
  await minutes(6)
  await identical(id)
})

test.runIf(isLong)(
  'a coin that is bought at the ask, half a spread of 15 bps above a minute that did not move',
  async () => {
    const id = await play({
      symbols: ['ETH/USD'],
      script: [{ bar: 2, do: 'buy', order: { qty: '10', type: 'market' } }],
    })
    await toSecond(2)
    const at = boundary()
    for (let n = 0; n < 8; n++) own.set(`ETH/USD ${at + n * MINUTE}`, [100, 100, 100, 100])
    emulator.control.setPrice('ETH/USD', '100.15')
    emulator.control.autoFill(true)
    await minutes(4)
    await identical(id)
  },
)

test.runIf(isLong)(
  'told: a stop-limit that the venue lost, with bars going through stop and limit each minute',
  async () => {
    const id = await play({
      symbols: ['ETH/USD'],
      script: [
        { bar: 1, do: 'buy', order: { qty: '1', type: 'stop_limit', stop_price: '100.2', limit_price: '100.8' } },
      ],
    })
    await minutes(6)
    expect(kinds(await replay(id))).toEqual(['order/not_filled'])
  },
)

test.runIf(isLong)('told: a bar that the venue corrected half a minute later', async () => {
  const id = await play({ bars: 3 })
  await minutes(2)
  const t = boundary() - MINUTE
  emulator.control.streams.bar('BTC/USD', { t, o: 100, h: 101, l: 99, c: 100.5, v: 11, n: 3 }, true)
  own.set(`BTC/USD ${t}`, [100, 101, 99, 100.5])
  await minutes(2)
  const parity = await replay(id)
  expect([parity.verdict, kinds(parity)]).toEqual(['amended', ['data/revised']])
})

test('told: somebody changed an order at the venue; its rows can be made again', async () => {
  const id = await play({
    symbols: ['BTC/USDT'],
    script: [{ bar: 1, do: 'buy', order: { qty: '10', type: 'limit', limit_price: '95' } }],
  })
  await placed(id, 1)
  const [order] = await orders(id)
  const next = emulator.control.replace(order?.client_order_id as string, { qty: '4', limit_price: '96' })
  emulator.control.fill(next, '4', '96')
  await minutes(2)
  const parity = await replay(id)
  expect(parity.differences?.map(({ class: name, what, recorded }) => [name, what, recorded])).toEqual([
    ['order', 'replaced', 'qty 4, price 96, gtc'],
  ])
  expect(parity.verdict).toBe('diverged')
  const { db } = paper.weaver.system
  const run = (await getRun(db.reader, id)) as RunRow
  const { tables, left_out } = await rebuildRun({ db, ...wallClock }, run, {
    swap: false,
    most: 10,
    onReport: () => {},
  })
  expect([tables.filter(({ total }) => total > 0), left_out]).toEqual([[], []])
})

test('told: the venue kept another fee than was booked', async () => {
  const id = await play({
    symbols: ['ETH/USD'],
    script: [{ bar: 1, do: 'buy', order: { qty: '10', type: 'limit', limit_price: '99.5' } }],
  })
  await placed(id, 1)
  await toSecond(40)
  const [order] = await orders(id)
  emulator.control.fill(order?.client_order_id as string, '10', '99.5')
  await minutes(4)
  const parity = await replay(id)
  expect([parity.verdict, kinds(parity)]).toEqual(['amended', ['cost/kept']])
})

test.runIf(isLong)('ticks that were skipped over a stop of Weaver', async () => {
  emulator.control.autoFill(true)
  const id = await play({
    script: [
      { bar: 1, do: 'buy', order: { qty: '1', type: 'limit', limit_price: '50' } },
      { bar: 4, do: 'buy', order: { qty: '1', type: 'market' } },
      { bar: 7, do: 'cancel' },
      { bar: 8, do: 'close' },
    ],
  })
  await minutes(2)
  await paper.down()
  await paper.leap(4 * MINUTE)
  await paper.up()
  await minutes(8)
  await identical(id)
})

test('a replay whose job was cancelled has failed, and so has one whose job died; both can be tried again', async () => {
  const id = await play({})
  await minutes(1)
  const { commands } = paper.weaver.control
  const jobOf = async () => {
    await commands.replayRun(id, {})
    const [job] = await paper.query<{ id: string }>(
      `select j.id::text as id from graphile_worker._private_jobs j
       join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier = 'greta.replay_run'`,
    )
    return job?.id as string
  }
  const failure = async () => {
    const { state, error } = await commands.getParity(id)
    return state === 'error' && error
  }
  await commands.pauseJobs('greta.replay_run')
  const lost = await jobOf()
  await commands.cancelJob(lost, CORR)
  expect(await failure()).toBe(`its job ${lost} was cancelled`)
  const dead = await jobOf()
  await paper.query(
    `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'no memory' where id = $1`,
    [dead],
  )
  expect(await until('the job to die', failure)).toBe('no memory')
  await commands.resumeJobs('greta.replay_run')
  await commands.retryJob(dead, CORR)
  const verdict = () => commands.getParity(id).then((parity) => parity.verdict)
  expect(await until('the replay to end', verdict)).toBe('identical')
})

test.runIf(isLong)('shares: decided at the last tick of a session, filled at the next opening', async () => {
  await paper.leap(Date.UTC(2025, 2, 3, 18, 59, 30) - paper.time.now())
  await paper.pass(61_000)
  const id = await play({
    symbols: ['AAPL'],
    timeframe: '1h',
    script: [{ bar: 2, do: 'buy', order: { qty: '10', type: 'market', time_in_force: 'day' } }],
  })
  emulator.control.autoFill(true)
  for (const hour of [20, 21]) {
    await paper.leap(Date.UTC(2025, 2, 3, hour) - 10_000 - paper.time.now())
    await paper.pass(71_000)
  }
  for (const at of [Date.UTC(2025, 2, 4, 14, 30), Date.UTC(2025, 2, 4, 15), Date.UTC(2025, 2, 4, 16)]) {
    await paper.leap(at - 10_000 - paper.time.now())
    await paper.pass(71_000)
  }
  await identical(id)
})

test.runIf(isLong)('candles of another source were imported before: the run keeps its bars for itself', async () => {
  const from = boundary() - 30 * MINUTE
  const column = (value: number) => Float64Array.from({ length: 30 }, () => value)
  const time = Float64Array.from({ length: 30 }, (_, n) => from + n * MINUTE)
  await paper.weaver.store('BTC/USDT', '1m', {
    time,
    open: column(100.1),
    high: column(101.1),
    low: column(99.1),
    close: column(100.1),
    volume: column(7),
  })
  const id = await play({ symbols: ['BTC/USDT'] })
  await minutes(3)
  const { notes } = await identical(id)
  expect(notes).toEqual([
    'the stored candles of BTC/USDT 1m are raw ones of the feed import, not those that the run saw: they were not compared',
  ])
})

test('told: an order that the venue cancelled for no reason, and that the model fills later', async () => {
  const id = await play({ script: [{ bar: 1, do: 'buy', order: { qty: '10', type: 'limit', limit_price: '95' } }] })
  await placed(id, 1)
  await toSecond(10)
  const [order] = await orders(id)
  emulator.control.cancelAtVenue(order?.client_order_id as string)
  const at = boundary() + 2 * MINUTE
  own.set(`BTC/USD ${at}`, [100, 100, 90, 91])
  await minutes(5)
  expect(kinds(await replay(id))).toEqual(['order/cancelled'])
})

test('told: a stop loss that the venue never set off, with bars far below it', async () => {
  emulator.control.autoFill(true)
  const id = await play({ script: [{ bar: 1, do: 'buy', order: { qty: '10', type: 'market', stop_loss: '95' } }] })
  await placed(id, 2)
  await toSecond(10)
  const at = boundary() + 2 * MINUTE
  for (let n = 0; n < 6; n++) own.set(`BTC/USD ${at + n * MINUTE}`, [80, 81, 79, 80])
  await minutes(5)
  expect(kinds(await replay(id))).toEqual(['order/not_filled'])
})
