/** Strategies that do their worst, on real workers: each ends its own run in words, the good one beside them completes. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'

const BARS = 48
const time = Float64Array.from({ length: BARS }, (_, bar) => Date.UTC(2024, 0, 1) + bar * TIMEFRAME_MS['1h'])
const flat = (value: number) => new Float64Array(BARS).fill(value)
const columns = { time, open: flat(100), high: flat(101), low: flat(99), close: flat(100), volume: flat(10) }
const RUN = { symbols: ['BTC/USD'], timeframe: '1h' as const }

interface Odd {
  onWindow?: string
  top?: string
  rest?: string
}

function source(id: string, { onWindow = '', top = '', rest = '' }: Odd): string {
  return `import { defineStrategy, z } from '../api.ts'
${top}
export default defineStrategy({
  id: '${id}', version: '1', description: 'hostile', params: z.object({}), window: () => ({ bars: 2 }), ${rest}
  onWindow(ctx) { const [symbol] = ctx.symbols; ${onWindow} },
})
`
}

const ENDS: [id: string, odd: Odd, message: RegExp][] = [
  ['throws', { onWindow: `throw new Error('no more of ' + symbol)` }, /^Error: no more of BTC\/USD$/],
  ['throws_null', { onWindow: 'throw null' }, /^Error: null$/],
  ['loops', { onWindow: 'for (;;) {}' }, /^ran longer than 500 ms$/],
  ['exits', { onWindow: 'process.exit(0)' }, /^Error: process is not there/],
  ['waits', { onWindow: 'return new Promise(() => {}) as never' }, /^TypeError: onWindow must not be async/],
  ['keeps_nan', { rest: 'init: () => ({ a: 0 }),', onWindow: 'ctx.state.a = NaN' }, /ctx\.state\.a is NaN/],
  [
    'floods',
    { onWindow: `for (;;) ctx.buy({ symbol, qty: '1', type: 'market' })` },
    /more than 1000 orders and cancels/,
  ],
  ['shouts', { onWindow: `throw new Error('x'.repeat(1_000_000))` }, /^Error: x{1993}$/],
  ['init_throws', { rest: `init: () => { throw new Error('at init') },` }, /at init/],
]

const REFUSED: [id: string, order: string, reason: string][] = [
  ['negative', `{ symbol, qty: '-1', type: 'market' }`, 'invalid_order: qty -1 must be above zero'],
  ['zero', `{ symbol, qty: '0', type: 'market' }`, 'invalid_order: qty 0 must be above zero'],
  [
    'too_fine',
    `{ symbol, qty: '0.0000000001', type: 'market' }`,
    'invalid_order: qty 0.0000000001 has 10 decimal places: at most 9 are allowed',
  ],
  [
    'unknown_symbol',
    `{ symbol: 'NO/NE', qty: '1', type: 'market' }`,
    'invalid_order: unknown symbol "NO/NE": the run trades BTC/USD',
  ],
  ['no_limit', `{ symbol, qty: '1', type: 'limit' }`, 'invalid_order: a limit order needs a limit_price'],
  [
    'nul',
    `{ symbol, qty: '1', type: 'limit', reason: 'a\\0b \\ud800' }`,
    'invalid_order: a limit order needs a limit_price',
  ],
]

const UNLOADABLE: [id: string, text: string, message: RegExp][] = [
  ['does_not_parse', 'export default {{{', /does not parse/],
  ['throws_at_load', source('throws_at_load', { top: `throw new Error('at load')` }), /at load/],
  ['reads_files', source('reads_files', { top: `import { readFileSync } from 'node:fs'` }), /imports 'node:fs'/],
  ['no_default', 'export const a = 1\n', /default export is not a strategy/],
  ['twin_a', source('twin', {}), /has the same id twin as local\/twin_b\.ts/],
  ['twin_b', source('twin', {}), /has the same id twin as local\/twin_a\.ts/],
]

const WINDOWS: [id: string, window: string, message: string][] = [
  ['window_throws', `{ throw new Error('no window') }`, 'no window'],
  ['window_zero', '({ bars: 0 })', 'window must give {bars} between 1 and 100000, not 0'],
]

let weaver: InProcess
beforeAll(async () => {
  const files: Record<string, string> = {
    'local/good.ts': source('good', {
      onWindow: `if (ctx.position(symbol).qty === '0') ctx.buy({ symbol, qty: '1', type: 'market' })`,
    }),
  }
  for (const [id, odd] of ENDS) files[`local/${id}.ts`] = source(id, odd)
  for (const [id, order] of REFUSED) files[`local/${id}.ts`] = source(id, { onWindow: `ctx.buy(${order} as never)` })
  for (const [id, text] of UNLOADABLE) files[`local/${id}.ts`] = text
  for (const [id, window] of WINDOWS) {
    files[`local/${id}.ts`] = source(id, {}).replace('window: () => ({ bars: 2 })', `window: () => ${window}`)
  }
  weaver = await openInProcess(files, { WEAVER_STRATEGY_TIMEOUT_MS: '500' })
  await weaver.store('BTC/USD', '1h', columns)
}, 60_000)
afterAll(() => weaver?.close())

test.each(ENDS)('the strategy that %s ends its own run, and the good one beside it completes', async (id, _, says) => {
  const [bad, good] = await Promise.all([
    weaver.backtest({ ...RUN, strategy_id: id }, columns),
    weaver.backtest({ ...RUN, strategy_id: 'good' }, columns),
  ])
  expect(bad).toMatchObject({ status: 'error', stats: null, result_hash: null })
  expect(bad.error?.message).toMatch(says)
  expect(good).toMatchObject({ status: 'completed', error: null, stats: { open_trades: 1 } })
  const events = await weaver.system.db.reader.query<{ message: string }>(
    `select payload -> 'payload' ->> 'message' as message from weaver.outbox where run_id = $1 and type = 'run.Error'`,
    [bad.id],
  )
  expect(events).toEqual([{ message: bad.error?.message }])
})

test.each(REFUSED)('an order that is %s is recorded with its reason, and the run goes on', async (id, _, reason) => {
  const run = await weaver.backtest({ ...RUN, strategy_id: id, audit: 'full' }, columns)
  expect(run).toMatchObject({ status: 'completed', stats: { final_equity: '100000' } })
  const orders = await weaver.system.db.reader.query<{ status: string; reject_reason: string; times: number }>(
    'select status, reject_reason, count(*) as times from weaver.orders where run_id = $1 group by 1, 2',
    [run.id],
  )
  expect(orders).toEqual([{ status: 'rejected', reject_reason: reason, times: BARS - 1 }])
})

test('files that are no strategies are listed by name, and the rest can be run', async () => {
  const { items, errors } = await weaver.control.catalog.list()
  expect(items.map(({ id }) => id)).toContain('good')
  for (const [id, , says] of UNLOADABLE) {
    expect(errors.find(({ path }) => path === `local/${id}.ts`)?.message).toMatch(says)
  }
  expect(errors).toHaveLength(UNLOADABLE.length)
})

test.each(WINDOWS)('the parameters of %s are refused, and no run is made', async (id, _, says) => {
  await expect(weaver.backtest({ ...RUN, strategy_id: id }, columns)).rejects.toMatchObject({
    code: 'VALIDATION_ERROR',
    message: expect.stringContaining(says),
  })
  expect(await weaver.system.db.reader.query('select id from weaver.runs where strategy_id = $1', [id])).toEqual([])
})

test('a range between two bars is refused, as is one that ends before any bar closes', async () => {
  for (const [start_time, end_time] of [
    ['2024-01-01T05:10:00.000Z', '2024-01-01T05:50:00.000Z'],
    ['0001-01-01T00:00:00.000Z', '2024-01-01T00:59:00.000Z'],
  ] as const) {
    await expect(weaver.backtest({ ...RUN, strategy_id: 'good', start_time, end_time }, columns)).rejects.toMatchObject(
      {
        code: 'VALIDATION_ERROR',
        message: expect.stringMatching(/^no 1h candle of BTC\/USD closes between /),
      },
    )
  }
})
