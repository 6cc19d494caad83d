/** The audit through real hosts: what no single process can show, module state in a file that the strategy imports. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { columnsOf } from '../../db/walle/candle_columns.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import { type AuditRun, runAudit } from '../../jobs/audit/run.ts'
import { openHosts, resolveStrategy } from '../../jobs/control.ts'
import { fillRequestSchema, resolveFillModel } from '../../jobs/greta/fill_model.ts'
import { materialise } from '../../jobs/marvin/sources.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'
import { told } from '../support/pure_audit.ts'
import { RUN_ID } from '../support/pure_run.ts'

const HOUR = 3_600_000
const BARS = 200
const columns = columnsOf(
  generateCandles({ timeframe: '1h', start: 0, bars: BARS, seed: 4, startPrice: 100, volatility: 0.02 }),
)

const source = (id: string, top: string, onWindow: string) => `import { defineStrategy, z } from '../../api.ts'
${top}
export default defineStrategy({
  id: '${id}', version: '1', description: 'an example', params: z.object({}), window: () => ({ bars: 2 }),
  onTick(ctx) { ctx.fetch({ symbol: ctx.symbols[0] as string, timeframe: '1h', bars: 5 }) },
  onWindow(ctx) { const [symbol] = ctx.symbols; ${onWindow} },
})
`
const ORDER = `ctx.buy({ symbol, qty: '1', type: 'market' })`

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess({
    'local/sound/index.ts': source(
      'sound',
      '',
      `if (ctx.window(symbol).close[4]! > ctx.window(symbol).close[3]!) ${ORDER}`,
    ),
    'local/counting/index.ts': source(
      'counting',
      `import { next } from './counter.ts'`,
      `if (next() % 5 === 0) ${ORDER}`,
    ),
    'local/counting/counter.ts': 'let count = 0\nexport const next = () => ++count\n',
  })
  await weaver.store('BTC/USD', '1h', columns)
}, 60_000)
afterAll(() => weaver?.close())

async function audit(strategyId: string, range?: AuditRun['range']) {
  const { system, control } = weaver
  const strategy = await resolveStrategy(control.catalog, strategyId, { params: {} })
  const run: AuditRun = {
    strategyId,
    entry: await materialise(strategy.source, system.config.dataDir),
    windowBars: strategy.window_bars,
    spec: {
      ...{
        run_id: RUN_ID,
        symbols: ['BTC/USD'],
        timeframe: '1h',
        initial_cash: '100000',
        risk: {},
        params: {},
        seed: 0,
      },
      fill: resolveFillModel(fillRequestSchema.parse({})),
      audit: 'summary',
    },
    range: range ?? { start: 0, end: BARS * HOUR },
    options: { cuts: 3, seed: 2 },
  }
  const newHosts = () => openHosts(system, 1)
  return runAudit(run, { reader: system.db.reader, hosts: control.hosts, newHosts, onPlay: () => {} })
}

test('a sound strategy is clean, and each check was made', async () => {
  const report = await audit('sound')
  expect(report).toMatchObject({ ticks: BARS, cuts: expect.any(Array), failure: null })
  expect(told(report)).toEqual({ verdict: 'clean', found: [], noted: [] })
  expect(report.checks.map(({ check, plays }) => [check, plays])).toEqual([
    ['cut_future', 3],
    ['changed_future', 3],
    ['new_instance', 1],
    ['new_process', 3],
    ['longer_window', 1],
    ['shorter_history', 1],
    ['other_start', 3],
  ])
  expect(await weaver.system.db.reader.query('select id from weaver.runs')).toEqual([])
})

test('a count in a file beside the strategy lives as long as its process, and is found by another one', async () => {
  const report = await audit('counting')
  expect(told(report).found).toContain('new_process')
  expect(report.checks.find(({ check }) => check === 'new_process')?.means).toMatch(/^module state: /)
})

test('a range without bars is refused in words', async () => {
  await expect(audit('sound', { start: 9_000 * HOUR, end: 9_001 * HOUR })).rejects.toThrow(
    /^no 1h candle of BTC\/USD closes in the range: /,
  )
})
