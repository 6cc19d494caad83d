/** A run's report, its assumption band and the reasons for doing nothing, from real jobs to the page. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { columnsOf } from '../db/walle/candle_columns.ts'
import { generateCandles } from '../db/walle/generate.ts'
import { getBand } from '../db/walle/queries/bands.ts'
import { pageDecisions } from '../db/walle/queries/results.ts'
import type { CandleColumns, RunRow } from '../db/walle/rows.ts'
import { readReport } from '../jobs/report/data.ts'
import { reportHtml } from '../jobs/report/report.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'
import { until } from './support/until.ts'

const NASTY = `<script>alert(1)</script><img src=x onerror="alert(2)">'"&`

/** Says in ever the same words why it does nothing, and buys once; with a name that would like to be a script. */
const SAYS_WHY = `
import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'says_why',
  version: '1',
  description: 'Explains itself.',
  params: z.object({ reason: z.string() }),
  window: () => ({ bars: 2 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    if (ctx.bar_index === 30) ctx.buy({ symbol, qty: '1', type: 'market', reason: ctx.params.reason })
    else ctx.skip(ctx.bar_index < 30 ? 'too early' : ctx.params.reason)
  },
})
`

let weaver: InProcess
let candles: CandleColumns
beforeAll(async () => {
  weaver = await openInProcess({ 'says_why/index.ts': SAYS_WHY })
  candles = columnsOf(
    generateCandles({
      timeframe: '1h',
      start: Date.UTC(2024, 0, 1),
      bars: 3_000,
      seed: 5,
      startPrice: 100,
      volatility: 0.01,
    }),
  )
  await weaver.store('BTC/USD', '1h', candles)
})
afterAll(() => weaver.close())

async function pageOf(run: RunRow): Promise<string> {
  return reportHtml(await readReport(weaver.system.db.reader, run))
}

function bandOf(run: RunRow) {
  return until(
    'the end of the band',
    async () => {
      const band = await getBand(weaver.system.db.reader, run.id)
      return band?.status === 'running' ? null : band
    },
    60_000,
  )
}

const BTC = { symbols: ['BTC/USD'], timeframe: '1h' as const }

test('the band plays the run under every combination of assumptions, once, and the report has their range', async () => {
  const config = { fast: 2, slow: 5, loss: 0.995, gain: 1.004, qty: '200' }
  const fill = { slippage_bps: '2', commission_bps: '1' }
  const run = await weaver.backtest({ strategy_id: 'bracket_sma', config, fill, ...BTC }, candles)
  expect(run.status).toBe('completed')
  const { requestBand } = weaver.control.commands
  expect(await requestBand(run.id)).toMatchObject({ status: 'running', progress: 0 })
  const band = await bandOf(run)
  expect(band).toMatchObject({ status: 'completed', progress: 1, error: null })
  const variants = band.result?.variants ?? []
  expect(variants).toHaveLength(13)
  expect(variants[0]).toMatchObject({
    ...{ limit_fill: 'penetrate', market_fill: 'next_open', slippage_bps: '2', ambiguous_bar: 'stop_loss' },
    ...{ final_equity: run.stats?.final_equity, total_trades: run.stats?.total_trades },
  })
  // No limit lies exactly at a high or a low of these bars, so that touched and traded through are the same here.
  expect(new Set(variants.map(({ final_equity }) => final_equity)).size).toBe(7)
  expect(band.result?.ambiguous_bars).toBeGreaterThan(0)
  const page = await pageOf(run)
  expect(page).toMatch(/returned between <b>[^<]+<\/b> and <b>[^<]+<\/b>/)
  expect(page.match(/<tr class="own-row">/g)).toHaveLength(1)

  // Asked again, it is the same one; deleted with the run, the trial stays.
  expect(await requestBand(run.id)).toEqual(band)
  const { deleteRun } = weaver.control.commands
  await deleteRun(run.id, { corrId: run.id })
  expect(await getBand(weaver.system.db.reader, run.id)).toBeNull()
  const kept = await weaver.system.db.reader.query('select from weaver.trials where run_id = $1', [run.id])
  expect(kept).toHaveLength(1)
}, 60_000)

test('what a person or a strategy wrote is text on the page, and nothing on it loads or runs', async () => {
  const run = await weaver.backtest(
    { strategy_id: 'says_why', config: { reason: NASTY }, label: NASTY, ...BTC },
    candles,
  )
  expect(run.status).toBe('completed')
  const page = await pageOf(run)
  expect(page).not.toMatch(/<script|<img|onerror="|javascript:|<link|@import|url\(|https?:\/\//i)
  expect(page.match(/&lt;script&gt;alert\(1\)&lt;\/script&gt;/g)?.length).toBeGreaterThanOrEqual(4)
  expect(page).toContain("default-src 'none'")
})

test('the page is small, and every word of the record is on it', async () => {
  const run = await weaver.backtest(
    { strategy_id: 'says_why', config: { reason: 'a b' }, fill: { slippage_bps: '7' }, ...BTC },
    candles,
  )
  const page = await pageOf(run)
  expect(page.length).toBeLessThan(200_000)
  for (const told of [run.id, run.strategy_hash, run.dataset_fingerprint, run.result_hash, run.weaver_version]) {
    expect(page).toContain(told)
  }
  expect(page).toContain('--param &#39;reason=a b&#39; --fill preset=weaver --fill slippage_bps=7 --cash 100000')
})

test('the ticks that did nothing are listed with their reason, and counted on the page', async () => {
  const run = await weaver.backtest({ strategy_id: 'says_why', config: { reason: 'enough' }, ...BTC }, candles)
  const { items } = await pageDecisions(weaver.system.db.reader, run.id, { page: 1, page_size: 10 })
  expect(items).toMatchObject([
    { kind: 'skipped', bar_index: 1, last_bar_index: 29, ticks: 29, skips: ['too early'] },
    { kind: 'acted', bar_index: 30, last_bar_index: 30, ticks: 1, intents: [{ kind: 'place' }] },
    { kind: 'skipped', bar_index: 31, last_bar_index: 2_999, ticks: 2_969, skips: ['enough'] },
  ])
  const page = await pageOf(run)
  expect(page).toMatch(/enough<\/td><td>the strategy<\/td><td class="n">2,969<\/td><td class="n">98\.97 %/)
})

test('a run that ended in an error says so first, and a run without a tick has a page too', async () => {
  const run = await weaver.backtest({ strategy_id: 'says_why', config: { reason: 'x' }, ...BTC }, candles)
  const broken: RunRow = { ...run, status: 'error', stats: null, error: { message: NASTY }, progress: 0.02 }
  const page = await pageOf(broken)
  expect(page).toContain('This run ended in an error: 2.00 % of the ticks are done, and there are no statistics')
  const empty = await pageOf({ ...broken, id: '00000000-0000-4000-8000-00000000dead', status: 'pending' })
  expect(empty).toContain('No tick was played.')
})
