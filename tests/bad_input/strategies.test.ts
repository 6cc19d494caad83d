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

const DIGITS = '9'.repeat(41)

/** What a strategy asks for, and the reason on the order's row. */
const REFUSED: [name: string, order: string, reason: string][] = [
  ['negative', `{ symbol, qty: '-1', type: 'market' }`, 'qty -1 must be above zero'],
  ['zero', `{ symbol, qty: 0, type: 'market' }`, 'qty 0 must be above zero'],
  ['not a number', `{ symbol, qty: NaN, type: 'market' }`, 'qty "NaN" is not a decimal'],
  ['infinite', `{ symbol, qty: Infinity, type: 'market' }`, 'qty "Infinity" is not a decimal'],
  ['words', `{ symbol, qty: 'all of it', type: 'market' }`, 'qty "all of it" is not a decimal'],
  ['an object', `{ symbol, qty: {}, type: 'market' }`, 'qty "[object Object]" is not a decimal'],
  [
    'too fine',
    `{ symbol, qty: '0.0000000001', type: 'market' }`,
    'qty 0.0000000001 has 10 decimal places: at most 9 are allowed',
  ],
  ['of too many digits', `{ symbol, qty: '${DIGITS}', type: 'market' }`, `qty "${DIGITS}" is not a decimal`],
  ['of a gigantic number', `{ symbol, qty: 1e300, type: 'market' }`, 'qty "1e+300" is not a decimal'],
  [
    'for an unknown symbol',
    `{ symbol: 'NO/NE', qty: '1', type: 'market' }`,
    'unknown symbol "NO/NE": the run trades BTC/USD',
  ],
  [
    'for no symbol',
    `{ symbol: undefined, qty: '1', type: 'market' }`,
    'unknown symbol "undefined": the run trades BTC/USD',
  ],
  [
    'of an unknown type',
    `{ symbol, qty: '1', type: 'iceberg' }`,
    'unknown type "iceberg": use market, limit, stop, stop_limit, trailing_stop',
  ],
  [
    'of an unknown time in force',
    `{ symbol, qty: '1', type: 'market', time_in_force: 'gtd' }`,
    'unknown time_in_force "gtd": use day, gtc, ioc, fok, opg, cls',
  ],
  [
    'for an auction that the symbol has not',
    `{ symbol, qty: '1', type: 'market', time_in_force: 'opg' }`,
    'BTC/USD trades around the clock: it has no auction for time_in_force opg',
  ],
  ['a limit without its price', `{ symbol, qty: '1', type: 'limit' }`, 'a limit order needs a limit_price'],
  ['at a negative price', `{ symbol, qty: '1', type: 'limit', limit_price: -5 }`, 'limit_price -5 must be above zero'],
  ['a stop at no price', `{ symbol, qty: '1', type: 'stop', stop_price: NaN }`, 'stop_price "NaN" is not a decimal'],
  [
    'a take profit on the wrong side',
    `{ symbol, qty: '1', type: 'limit', limit_price: 100, take_profit: 90 }`,
    "take_profit 90 must be above the buy's price 100",
  ],
  [
    'exits on the wrong sides of each other',
    `{ symbol, qty: '1', type: 'market', take_profit: 90, stop_loss: 110 }`,
    'stop_loss 110 and take_profit 90 are on the wrong sides of each other for a buy',
  ],
  [
    'a trailing stop without a trail',
    `{ symbol, qty: '1', type: 'trailing_stop' }`,
    'a trailing_stop order needs either trail_price or trail_percent',
  ],
  [
    'with both trails',
    `{ symbol, qty: '1', type: 'trailing_stop', trail_price: 1, trail_percent: 1 }`,
    'an order takes either trail_price or trail_percent, not both',
  ],
  [
    'odd characters in its reason',
    `{ symbol, qty: '1', type: 'limit', reason: 'a\\0b \\ud800' }`,
    'a limit order needs a limit_price',
  ],
]
/** All of them at one tick. */
const NONSENSE = REFUSED.map(([, order]) => `ctx.buy(${order} as never)`).join('; ')

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
  files['local/nonsense.ts'] = source('nonsense', { onWindow: NONSENSE })
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

test.each(['chunk', 'chain'] as const)(
  'as a %s: each order that is nonsense is refused by name, and the run goes on',
  async (driver) => {
    const last = columns.time.at(-1) as number
    const range = driver === 'chunk' ? {} : { start_time: new Date(last - 2 * TIMEFRAME_MS['1h']).toISOString() }
    const run = await weaver.backtest({ ...RUN, strategy_id: 'nonsense', driver, ...range }, columns)
    expect(run).toMatchObject({ status: 'completed', error: null, stats: { final_equity: '100000' } })
    const { reader } = weaver.system.db
    const orders = await reader.query<{ bar_index: number; status: string; reject_reason: string }>(
      'select bar_index, status, reject_reason from weaver.orders where run_id = $1 order by ordinal',
      [run.id],
    )
    const ticks = [...new Set(orders.map(({ bar_index }) => bar_index))]
    expect(ticks.length).toBeGreaterThan(1)
    for (const tick of ticks) {
      expect(orders.filter(({ bar_index }) => bar_index === tick)).toEqual(
        REFUSED.map(([, , reason]) => ({
          bar_index: tick,
          status: 'rejected',
          reject_reason: `invalid_order: ${reason}`,
        })),
      )
    }
    const decided = await reader.query<{ asked: number }>(
      'select jsonb_array_length(intents) as asked from weaver.decisions where run_id = $1',
      [run.id],
    )
    expect(decided).toEqual(ticks.map(() => ({ asked: REFUSED.length })))
  },
)

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
