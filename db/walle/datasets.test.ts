/** What is known of a set of candles: its kind, which is never mixed, and who saw which of its bars. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Timeframe } from '../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { aRun, aSource, idOf } from '../../tests/support/walle_rows.ts'
import type { StoreCandles } from './outcome.ts'
import { readSeries, seriesRange, sourceOf } from './queries/series.ts'
import { record } from './record.ts'
import type { CandleText, Revision, RunDatasetRow } from './rows.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.drop())

const HOUR = 3_600_000
const START = Date.UTC(2024, 0, 2)

function candles(count: number, { start = START, step = HOUR, close = '1' } = {}): CandleText[] {
  return Array.from({ length: count }, (_, index) => ({
    time: start + index * step,
    ...{ open: '1', high: '9', low: '0.5', close, volume: '1', trade_count: null },
  }))
}

const store = (write: Omit<StoreCandles, 'kind'>) =>
  database.db.write((tx) => record(tx, { writes: [{ kind: 'store_candles', ...write }], events: [] }))

async function kindOf(symbol: string, timeframe: Timeframe = '1h') {
  const source = await sourceOf(database.db.reader, symbol, timeframe)
  return [source?.timeframe, source?.adjustment, source?.feed]
}

test('what an import does not say is unknown, but for symbols without corporate actions', async () => {
  await store({ symbol: 'AAA', timeframe: '1h', candles: candles(2) })
  await store({ symbol: 'AAA/USD', timeframe: '1h', candles: candles(2) })
  await store({ symbol: 'AAB', timeframe: '1h', candles: candles(2), adjustment: 'split', feed: 'sip' })
  expect(await kindOf('AAA')).toEqual(['1h', 'unknown', 'import'])
  expect(await kindOf('AAA/USD')).toEqual(['1h', 'raw', 'import'])
  expect(await kindOf('AAB')).toEqual(['1h', 'split', 'sip'])
})

test('candles of another adjustment or feed are refused, and nothing of them is stored', async () => {
  const later = candles(3, { start: START + 24 * HOUR })
  await store({ symbol: 'MIX', timeframe: '1h', candles: candles(4), adjustment: 'split', feed: 'sip' })
  await expect(
    store({ symbol: 'MIX', timeframe: '1h', candles: later, adjustment: 'raw', feed: 'sip' }),
  ).rejects.toMatchObject({
    name: 'MixedCandlesError',
    message:
      'MIX 1h holds 4 candles with adjustment split, and these have adjustment raw: say adjustment split if that is what they are, or import a file that covers all stored candles and so takes their place',
  })
  await expect(store({ symbol: 'MIX', timeframe: '1h', candles: later, adjustment: 'split' })).rejects.toThrow(
    'MIX 1h holds 4 candles with feed sip, and these have feed import',
  )
  expect(await seriesRange(database.db.reader, 'MIX', '1h')).toMatchObject({ bars: 4 })
  await store({ symbol: 'MIX', timeframe: '1h', candles: later, adjustment: 'split', feed: 'sip' })
  expect(await seriesRange(database.db.reader, 'MIX', '1h')).toMatchObject({ bars: 7 })
})

test('an import that covers all stored candles takes their place, of whatever kind it is', async () => {
  await store({ symbol: 'NEW', timeframe: '1h', candles: candles(4) })
  await expect(store({ symbol: 'NEW', timeframe: '1h', candles: candles(3), adjustment: 'all' })).rejects.toThrow(
    'NEW 1h holds 4 candles with adjustment unknown',
  )
  await store({ symbol: 'NEW', timeframe: '1h', candles: candles(5, { close: '2' }), adjustment: 'all' })
  expect(await kindOf('NEW')).toEqual(['1h', 'all', 'import'])
})

test('another timeframe of a symbol is another set', async () => {
  await store({ symbol: 'TWO', timeframe: '1d', candles: candles(2, { step: 24 * HOUR }), adjustment: 'split' })
  await store({ symbol: 'TWO', timeframe: '1h', candles: candles(2), adjustment: 'raw' })
  expect([await kindOf('TWO', '1d'), await kindOf('TWO', '1h')]).toEqual([
    ['1d', 'split', 'import'],
    ['1h', 'raw', 'import'],
  ])
})

test('bars are the stored ones, else made of the finest stored ones', async () => {
  const { reader } = database.db
  await store({ symbol: 'R/USD', timeframe: '15m', candles: candles(40, { step: HOUR / 4 }) })
  await store({ symbol: 'R/USD', timeframe: '5m', candles: candles(120, { step: HOUR / 12 }) })
  expect(await kindOf('R/USD', '1h')).toEqual(['5m', 'raw', 'import'])
  expect(await kindOf('R/USD', '1m')).toEqual([undefined, undefined, undefined])
  expect(await seriesRange(reader, 'R/USD', '4h')).toEqual({ first: START, last: START + 4 * HOUR, bars: 120 })
  const query = { symbol: 'R/USD', timeframe: '1h', from: START + 2 * HOUR, to: START + 5 * HOUR } as const
  const read = await readSeries(reader, { ...query, warmupBars: 1 })
  expect(read).toMatchObject({
    warmup: 1,
    source: { timeframe: '5m' },
    seen: { first: START + HOUR, last: START + 5 * HOUR - HOUR / 12 },
  })
  expect([...read.columns.time]).toEqual([1, 2, 3, 4].map((hour) => START + hour * HOUR))
  expect([...read.columns.volume]).toEqual([12, 12, 12, 12])
  await store({ symbol: 'R/USD', timeframe: '1h', candles: candles(3, { close: '7' }) })
  expect([...(await readSeries(reader, { ...query, warmupBars: 1 })).columns.close]).toEqual([7, 7])
})

test('the warm-up of bars that are made has the bars asked for, over holes, and no cut one', async () => {
  const { reader } = database.db
  const minutes = candles(600, { start: START + 7 * 60_000, step: 60_000 }).filter(({ time }) => {
    const hour = Math.floor((time - START) / HOUR)
    return hour !== 4 && hour !== 5
  })
  await store({ symbol: 'W/USD', timeframe: '1m', candles: minutes })
  const warm = async (warmupBars: number) => {
    const query = { symbol: 'W/USD', timeframe: '1h', from: START + 8 * HOUR, to: START + 9 * HOUR } as const
    const { columns, warmup } = await readSeries(reader, { ...query, warmupBars })
    return [warmup, ...Array.from(columns.time, (time) => (time - START) / HOUR)]
  }
  expect(await warm(0)).toEqual([0, 8])
  expect(await warm(3)).toEqual([3, 3, 6, 7, 8])
  // Hour 0 begins at minute 7: it is no bar.
  expect(await warm(20)).toEqual([5, 1, 2, 3, 6, 7, 8])
})

test('a revision marks the runs that saw bars of its range, once', async () => {
  const seen = (run: number, changes: Partial<RunDatasetRow>): RunDatasetRow => ({
    run_id: idOf('run', run),
    ...{ symbol: 'S/USD', timeframe: '1d', fetched: false, source_timeframe: '1h', bars: 10 },
    ...{ first: '2024-01-01T00:00:00.000Z', last: '2024-01-10T23:00:00.000Z' },
    ...{ adjustment: 'raw', feed: 'import', fingerprint: 'abc' },
    ...changes,
  })
  const rows = [
    seen(1, {}),
    seen(2, { first: '2024-01-05T00:00:00.000Z' }),
    seen(3, { source_timeframe: '1d' }),
    seen(4, { symbol: 'T/USD' }),
    seen(5, {}),
    seen(5, { timeframe: '4h' }),
  ]
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        ...[1, 2, 3, 4, 5].map((run) => ({ kind: 'create_run', run: aRun(run) }) as const),
        ...rows.map((row) => ({ kind: 'save_run_dataset', row }) as const),
        // The first reading counts.
        { kind: 'save_run_dataset', row: seen(1, { fingerprint: 'other', last: '2030-01-01T00:00:00.000Z' }) },
      ],
      events: [],
    }),
  )
  const revision: Revision = {
    event_id: idOf('event', 1),
    ...{ symbol: 'S/USD', timeframe: '1h', revised: 3 },
    ...{ first: '2024-01-03T00:00:00.000Z', last: '2024-01-04T23:00:00.000Z' },
  }
  const tell = () =>
    database.db.write((tx) => record(tx, { writes: [{ kind: 'invalidate_runs', revision }], events: [] }))
  await tell()
  await tell()
  const marked = await database.db.reader.query<{ run_id: string; revised: number }>(
    'select run_id, revised from weaver.run_invalidations order by run_id',
  )
  expect(marked).toEqual([1, 5].map((run) => ({ run_id: idOf('run', run), revised: 3 })))
})
