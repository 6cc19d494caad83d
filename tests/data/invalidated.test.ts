/** A revision of candles lists the runs that it invalidates, at the import and in the log's own time. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { columnsOf } from '../../db/walle/candle_columns.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import { type Invalidation, invalidationsOf, listRunDatasets } from '../../db/walle/queries/run_data.ts'
import type { CandleText } from '../../db/walle/rows.ts'
import { loadFetched } from '../../jobs/backtest/run_data.ts'
import { importInto } from '../../jobs/control.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'
import { until } from '../support/until.ts'

/** Looks at hours of another symbol while it trades its own. */
const LOOKER = `
import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'looker', version: '1', description: 'Looks elsewhere.', params: z.object({ at: z.string() }),
  window: () => ({ bars: 1 }),
  onTick(ctx) { ctx.fetch({ symbol: ctx.params.at, timeframe: '1h', bars: 2 }) },
  onWindow() {},
})
`

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess({ 'looker/index.ts': LOOKER })
})
afterAll(() => weaver.close())

const HOUR = 3_600_000
const START = Date.UTC(2024, 0, 1)
const HEADER = 'timestamp,open,high,low,close,volume'

function hours(count: number, seed = 1): CandleText[] {
  return generateCandles({ timeframe: '1h', start: START, bars: count, seed, startPrice: 50, volatility: 0.01 })
}

function importBars(symbol: string, candles: readonly CandleText[]) {
  const lines = candles.map(({ time, open, high, low, close, volume }) =>
    [new Date(time).toISOString(), open, high, low, close, volume].join(','),
  )
  const source = (async function* () {
    yield new TextEncoder().encode([HEADER, ...lines].join('\n'))
  })()
  return importInto(weaver.system, { symbol, timeframe: '1h', source, format: 'csv', strict: true })
}

/** The same bar with another volume. */
const revised = (candle: CandleText): CandleText => ({ ...candle, volume: '77777' })

function marksOf(id: string): Promise<Invalidation> {
  return until(
    `the marks of run ${id}`,
    async () => (await invalidationsOf(weaver.system.db.reader, [id])).get(id) ?? null,
  )
}

const iso = (hour: number) => new Date(START + hour * HOUR).toISOString()

test('runs that saw revised bars are named by the import and marked from the log; the others are not', async () => {
  const candles = hours(96)
  await importBars('INV/USD', candles)
  const columns = columnsOf(candles)
  const run = (from: number, to: number, timeframe: '1h' | '4h' = '1h') =>
    weaver.backtest(
      {
        ...{ strategy_id: 'sma_cross', symbols: ['INV/USD'], timeframe, config: { fast: 2, slow: 3 } },
        ...{ start_time: iso(from), end_time: iso(to) },
      },
      columns,
    )
  const early = await run(1, 20)
  const late = await run(50, 90)
  const coarse = await run(40, 60, '4h')
  await importBars('OTHER/USD', hours(30, 5))
  const looker = await weaver.backtest(
    {
      ...{ strategy_id: 'looker', symbols: ['OTHER/USD'], timeframe: '1h', config: { at: 'INV/USD' } },
      ...{ start_time: iso(1), end_time: iso(30) },
    },
    columns,
  )
  expect([early, late, coarse, looker].map((one) => [one.status, one.error])).toEqual(
    Array.from({ length: 4 }, () => ['completed', null]),
  )

  // Hour 47 is warm-up of the late run: it wants three bars and a spare before hour 49.
  const told = await importBars('INV/USD', [revised(candles[47] as CandleText)])
  expect([told.revised, told.invalidated]).toEqual([1, { count: 2, ids: [coarse.id, late.id] }])
  expect(await marksOf(late.id)).toMatchObject({ count: 1, symbols: ['INV/USD'], first: iso(47), last: iso(47) })
  expect(await marksOf(coarse.id)).toMatchObject({ count: 1 })

  const second = await importBars('INV/USD', candles.slice(10, 13).map(revised))
  expect(second.invalidated).toEqual({ count: 2, ids: [looker.id, early.id] })
  expect(await marksOf(looker.id)).toMatchObject({ symbols: ['INV/USD'], first: iso(10), last: iso(12) })
  expect(await marksOf(early.id)).toMatchObject({ count: 1 })
  expect(await marksOf(late.id)).toMatchObject({ count: 1 })

  const more = await importBars('INV/USD', hours(100).slice(96))
  expect([more.stored, more.invalidated]).toEqual([4, { count: 0, ids: [] }])
})

test('fetched bars that change while a run goes on end it, as its own do', async () => {
  const candles = hours(40, 9)
  await importBars('FETCHED/USD', candles)
  await importBars('OWN/USD', candles)
  const request = {
    strategy_id: 'looker',
    symbols: ['OWN/USD'],
    timeframe: '1h' as const,
    config: { at: 'FETCHED/USD' },
  }
  const run = await weaver.backtest(request, columnsOf(candles))
  const [own, fetched] = await listRunDatasets(weaver.system.db.reader, run.id)
  expect([own?.symbol, own?.fingerprint, fetched?.symbol, fetched?.bars]).toEqual([
    'OWN/USD',
    run.dataset_fingerprint,
    'FETCHED/USD',
    40,
  ])
  expect((await loadFetched(weaver.system.db, run, 'FETCHED/USD', '1h')).time).toHaveLength(40)
  await importBars('FETCHED/USD', [revised(candles[3] as CandleText)])
  await expect(loadFetched(weaver.system.db, run, 'FETCHED/USD', '1h')).rejects.toMatchObject({ name: 'DataRevised' })
})
