import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { columnsOf } from './candle_columns.ts'
import { generateCandles } from './generate.ts'
import { candleRange, inspectStored, listCandles, listDatasets, listSymbols, readColumns } from './queries/candles.ts'
import { record } from './record.ts'
import type { CandleText } from './rows.ts'

const DAY = 86_400_000
const START = Date.UTC(2024, 0, 30)

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database?.drop())

async function store(symbol: string, candles: CandleText[]) {
  const writes = [{ kind: 'store_candles', symbol, timeframe: '1d', candles } as const]
  const { candles: stored } = await database.db.write((tx) => record(tx, { writes, events: [] }))
  return stored[0]
}

function days(bars: number, start = START): CandleText[] {
  return generateCandles({ timeframe: '1d', start, bars, seed: 7, startPrice: 50, volatility: 0.02 })
}

function bar(time: number, close: string): CandleText {
  return { time, open: '1', high: '3.50', low: '0.5', close, volume: '1000000000.5', trade_count: null }
}

async function told(symbol: string) {
  const rows = await database.db.reader.query<{ type: string; payload: { payload: object } }>(
    `select type, payload from weaver.outbox where payload -> 'payload' ->> 'symbol' = $1 order by id`,
    [symbol],
  )
  return rows.map(({ type, payload }) => [type, payload.payload])
}

async function readAll(symbol: string) {
  return (await readColumns(database.db.reader, { symbol, timeframe: '1d', from: 0, to: 4e12, warmupBars: 0 })).columns
}

test('new, revised and unchanged bars are told apart, and events tell of what changed', async () => {
  const first = Date.UTC(2024, 0, 31)
  expect(await store('A/USD', [bar(first, '1'), bar(first + DAY, '2')])).toEqual({
    symbol: 'A/USD',
    timeframe: '1d',
    stored: { count: 2, first: '2024-01-31T00:00:00.000Z', last: '2024-02-01T00:00:00.000Z' },
    revised: { count: 0, first: null, last: null },
    unchanged: 0,
  })
  expect(await store('A/USD', [bar(first, '1.000'), bar(first + DAY, '2.5'), bar(first + 2 * DAY, '3')])).toMatchObject(
    {
      stored: { count: 1, first: '2024-02-02T00:00:00.000Z' },
      revised: { count: 1, first: '2024-02-01T00:00:00.000Z', last: '2024-02-01T00:00:00.000Z' },
      unchanged: 1,
    },
  )
  const series = { symbol: 'A/USD', timeframe: '1d' }
  const added = { first: '2024-02-02T00:00:00.000Z', last: '2024-02-02T00:00:00.000Z' }
  const changed = { first: '2024-02-01T00:00:00.000Z', last: '2024-02-01T00:00:00.000Z' }
  expect(await told('A/USD')).toEqual([
    [
      'data.CandlesImported',
      { ...series, stored: 2, first: '2024-01-31T00:00:00.000Z', last: '2024-02-01T00:00:00.000Z' },
    ],
    ['data.CandlesImported', { ...series, stored: 1, ...added }],
    ['data.CandlesRevised', { ...series, revised: 1, ...changed }],
  ])
  expect((await readAll('A/USD')).close).toEqual(Float64Array.of(1, 2.5, 3))
})

test('storing the same bars again changes nothing and tells nothing', async () => {
  const candles = days(40)
  await store('B/USD', candles)
  expect(await store('B/USD', candles)).toMatchObject({ stored: { count: 0 }, revised: { count: 0 }, unchanged: 40 })
  expect(await told('B/USD')).toHaveLength(1)
})

test('a source without trade counts leaves the stored ones alone', async () => {
  await store('C/USD', [{ ...bar(START, '1'), trade_count: '12' }])
  expect(await store('C/USD', [bar(START, '1')])).toMatchObject({ unchanged: 1 })
  await store('C/USD', [bar(START, '2')])
  const [row] = await listCandles(database.db.reader, { symbol: 'C/USD', timeframe: '1d', limit: 1 })
  expect(row).toEqual({
    symbol: 'C/USD',
    timeframe: '1d',
    timestamp: '2024-01-30T00:00:00.000Z',
    open: '1',
    high: '3.5',
    low: '0.5',
    close: '2',
    volume: '1000000000.5',
    trade_count: 12,
  })
})

test('bars out of order are refused and nothing is stored', async () => {
  await expect(store('D/USD', [bar(START + DAY, '1'), bar(START, '1')])).rejects.toThrow(
    'candles of D/USD must be stored in ascending order of open time',
  )
  expect(await candleRange(database.db.reader, 'D/USD', '1d')).toBeNull()
})

test('after any sequence of imports the blocks hold what the rows hold', async () => {
  const batches = fc.array(
    fc.uniqueArray(fc.record({ day: fc.nat(75), close: fc.integer({ min: 5, max: 35 }) }), {
      selector: ({ day }) => day,
      maxLength: 12,
    }),
    { minLength: 1, maxLength: 4 },
  )
  let number = 0
  await fc.assert(
    fc.asyncProperty(batches, async (imports) => {
      number += 1
      const symbol = `P${number}/USD`
      const expected = new Map<number, CandleText>()
      for (const batch of imports) {
        const candles = batch
          .toSorted((a, b) => a.day - b.day)
          .map(({ day, close }) => bar(START + day * DAY, String(close / 10)))
        for (const candle of candles) expected.set(candle.time, candle)
        await store(symbol, candles)
      }
      const sorted = [...expected.values()].toSorted((a, b) => a.time - b.time)
      expect(await readAll(symbol)).toEqual(columnsOf(sorted))
      const rows = await listCandles(database.db.reader, { symbol, timeframe: '1d', limit: 1_000 })
      expect(rows.map(({ close }) => close)).toEqual(sorted.map(({ close }) => close))
    }),
    { numRuns: 15 },
  )
})

test('two imports of one symbol at once lose nothing', async () => {
  const candles = days(30, Date.UTC(2024, 2, 1))
  const even = candles.filter((_, i) => i % 2 === 0)
  const odd = candles.filter((_, i) => i % 2 === 1)
  await Promise.all([store('E/USD', even), store('E/USD', odd)])
  expect(await readAll('E/USD')).toEqual(columnsOf(candles))
})

test('columns are the bars that open in [from, to), after the warm-up that there is', async () => {
  const candles = days(100)
  await store('F/USD', candles)
  const all = columnsOf(candles)
  const read = (from: number, to: number, warmupBars: number) =>
    readColumns(database.db.reader, {
      symbol: 'F/USD',
      timeframe: '1d',
      from: START + from * DAY,
      to: START + to * DAY,
      warmupBars,
    })
  const check = async (from: number, to: number, warmupBars: number, first: number, end: number, warmup: number) => {
    const result = await read(from, to, warmupBars)
    expect(result.columns.time).toEqual(all.time.slice(first, end))
    expect(result.columns.volume).toEqual(all.volume.slice(first, end))
    expect(result.warmup).toBe(warmup)
  }
  await check(10, 12, 0, 10, 12, 0)
  await check(10, 12, 3, 7, 12, 3)
  await check(2, 4, 50, 0, 4, 2)
  await check(70, 72, 69, 1, 72, 69)
  await check(99.5, 200, 1, 99, 100, 1)
  await check(-10, 1, 5, 0, 1, 0)
  await check(300, 400, 2, 98, 100, 2)
  await check(5, 5, 2, 3, 5, 2)
})

test('candles are listed oldest first: from the start, or the newest up to the end', async () => {
  await store('G/USD', days(10))
  const list = async (query: { start?: string; end?: string; limit: number }) => {
    const rows = await listCandles(database.db.reader, { symbol: 'G/USD', timeframe: '1d', ...query })
    return rows.map(({ timestamp }) => (Date.parse(timestamp) - START) / DAY)
  }
  const at = (day: number) => new Date(START + day * DAY).toISOString()
  expect(await list({ limit: 3 })).toEqual([7, 8, 9])
  expect(await list({ start: at(2), limit: 3 })).toEqual([2, 3, 4])
  expect(await list({ end: at(5), limit: 3 })).toEqual([3, 4, 5])
  expect(await list({ start: at(8), end: at(8), limit: 3 })).toEqual([8])
})

test('what there is: ranges, kinds, what is strange, symbols', async () => {
  const candles = days(10)
  await store('H/USD', [...candles.slice(0, 4), ...candles.slice(6)])
  await store('HOOD', candles.slice(0, 5))
  const { reader } = database.db
  expect(await candleRange(reader, 'H/USD', '1d')).toEqual({ first: START, last: START + 9 * DAY, bars: 8 })
  expect(await candleRange(reader, 'H/USD', '1h')).toBeNull()
  const datasets = (await listDatasets(reader)).filter(({ symbol }) => symbol.startsWith('H'))
  expect(datasets).toEqual([
    {
      symbol: 'H/USD',
      timeframe: '1d',
      first: '2024-01-30T00:00:00.000Z',
      last: '2024-02-08T00:00:00.000Z',
      bars: 8,
      adjustment: 'raw',
      feed: 'import',
    },
    {
      symbol: 'HOOD',
      timeframe: '1d',
      first: '2024-01-30T00:00:00.000Z',
      last: '2024-02-03T00:00:00.000Z',
      bars: 5,
      adjustment: 'unknown',
      feed: 'import',
    },
  ])
  expect((await inspectStored(reader, 'H/USD', '1d')).gaps).toMatchObject({ count: 1, missing: 2 })
  expect((await listSymbols(reader)).filter(({ symbol }) => symbol.startsWith('H'))).toEqual([
    { symbol: 'H/USD', timeframes: ['1d'] },
    { symbol: 'HOOD', timeframes: ['1d'] },
  ])
})

test('a symbol is only ever a value, whatever is in it', async () => {
  const symbol = "O'Neil\\'; drop table weaver.candles; --"
  await store(symbol, days(2))
  expect((await readAll(symbol)).time.length).toBe(2)
})
