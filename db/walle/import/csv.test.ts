import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generateCandles } from '../generate.ts'
import type { CandleText } from '../rows.ts'
import type { ImportOptions } from './candle_rows.ts'
import { parseCandleCsv } from './csv.ts'

const HEADER = 'timestamp,open,high,low,close,volume'
const crypto: ImportOptions = { symbol: 'BTC/USD', timeframe: '1h', zone: 'UTC' }
const equity: ImportOptions = { symbol: 'AAPL', timeframe: '1d', zone: 'America/New_York' }

function parse(text: string, options: ImportOptions = crypto) {
  return parseCandleCsv([text], options)
}

async function timesOf(stamps: string[], options: ImportOptions = crypto) {
  const { candles, rejected } = await parse(
    [HEADER, ...stamps.map((stamp) => `${stamp},1,1,1,1,1`)].join('\n'),
    options,
  )
  return [...candles.map(({ time }) => new Date(time).toISOString()), ...rejected.map(({ reason }) => reason)]
}

async function reasonOf(row: string, header = HEADER) {
  const { candles, rejected } = await parse(`${header}\n${row}\n`)
  expect(candles).toEqual([])
  return rejected
}

test('a file is read with its prices as they are written', async () => {
  const text = `${HEADER},trade_count\n2024-01-01T00:00:00Z,1.50,2,1,1.7,0,12\n2024-01-01T01:00:00Z,1e-7,+2,.5e-7,1.,3E2,\n`
  expect(await parse(text)).toEqual({
    candles: [
      { time: Date.UTC(2024, 0, 1), open: '1.50', high: '2', low: '1', close: '1.7', volume: '0', trade_count: '12' },
      {
        time: Date.UTC(2024, 0, 1, 1),
        open: '0.0000001',
        high: '2',
        low: '0.00000005',
        close: '1',
        volume: '300',
        trade_count: null,
      },
    ],
    read: 2,
    rejected: [],
    rejected_count: 0,
    gaps: { count: 0, missing: 0, longest: null, unknown: 0 },
    warnings: [
      'BTC/USD 1h: 1 bar without volume, 2024-01-01T00:00:00.000Z',
      'BTC/USD 1h: 2 absurd jumps, 2024-01-01T00:00:00.000Z (100 %), 2024-01-01T01:00:00.000Z (3999999900 %)',
    ],
  })
})

test.each([
  [''],
  ['2024-01-01T00:00:00Z,1,1,1,1,1'],
  ['time,open,high,low,close,volume'],
  ['timestamp,open,high,low,close'],
  ['timestamp,high,open,low,close,volume'],
  [`${HEADER},trades`],
  [`${HEADER},trade_count,more`],
])('the header %j is refused', async (header) => {
  await expect(parse(`${header}\n2024-01-01T00:00:00Z,1,1,1,1,1\n`)).rejects.toMatchObject({
    name: 'BadHeaderError',
    message: `the header must be timestamp,open,high,low,close,volume[,trade_count], but it is ${header || 'missing'}`,
  })
})

test('an empty file has no header', async () => {
  await expect(parse('')).rejects.toThrow('but it is missing')
})

test('timestamps are ISO 8601 with or without zone, or epoch seconds or milliseconds', async () => {
  const zoned = { ...crypto, zone: 'Europe/Berlin' }
  expect(
    await timesOf(
      [
        '2024-01-01',
        '2024-01-01T01:00:00Z',
        '2024-01-01t02:00z',
        '2024-01-01 05:00:00+02:00',
        '2023-12-31T23:00:00.000-0500',
        '2024-01-01T06:00',
        '1704088800',
        '1704092400000',
        '2024-07-01T02:00:00',
      ],
      zoned,
    ),
  ).toEqual([
    '2024-01-01T00:00:00.000Z',
    '2024-01-01T01:00:00.000Z',
    '2024-01-01T02:00:00.000Z',
    '2024-01-01T03:00:00.000Z',
    '2024-01-01T04:00:00.000Z',
    '2024-01-01T05:00:00.000Z',
    '2024-01-01T06:00:00.000Z',
    '2024-01-01T07:00:00.000Z',
    '2024-07-01T00:00:00.000Z',
  ])
})

test('what is no time is refused, an hour that the clocks skip included', async () => {
  expect(
    await timesOf(['2024-02-30', '2024-01-01T25:00:00Z', 'yesterday', '', '2024-03-31T02:00:00', '-1'], {
      ...crypto,
      zone: 'Europe/Berlin',
    }),
  ).toEqual([
    'timestamp 2024-02-30 is no date of the calendar',
    'timestamp 2024-01-01T25:00:00Z is no date of the calendar',
    'timestamp "yesterday" is neither ISO 8601 nor an epoch number',
    'timestamp "" is neither ISO 8601 nor an epoch number',
    'timestamp 2024-03-31T02:00:00 does not exist in Europe/Berlin (clock change)',
    'timestamp "-1" is neither ISO 8601 nor an epoch number',
  ])
})

test("an equity's day bars go to 00:00Z of their session date, from midnight in New York too", async () => {
  expect(
    await timesOf(
      [
        '2024-01-02',
        '2024-01-03T00:00:00Z',
        '2024-01-04T05:00:00Z',
        '2024-01-05 00:00:00',
        '2024-07-01T04:00:00Z',
        '2024-07-02T00:00:00-04:00',
        '2024-07-03T05:00:00Z',
      ],
      equity,
    ),
  ).toEqual([
    '2024-01-02T00:00:00.000Z',
    '2024-01-03T00:00:00.000Z',
    '2024-01-04T00:00:00.000Z',
    '2024-01-05T00:00:00.000Z',
    '2024-07-01T00:00:00.000Z',
    '2024-07-02T00:00:00.000Z',
    'timestamp 2024-07-03T05:00:00Z is not on the grid of 1d (UTC)',
  ])
})

test('day bars of a symbol that trades around the clock are those of UTC', async () => {
  expect(
    await timesOf(['2024-01-02', '2024-01-03T05:00:00Z'], { ...crypto, timeframe: '1d', zone: 'America/New_York' }),
  ).toEqual(['2024-01-02T00:00:00.000Z', 'timestamp 2024-01-03T05:00:00Z is not on the grid of 1d (UTC)'])
})

const T = '2024-01-01T00:00:00Z'

test.each([
  [`${T},1,1,2,1,1`, 'high 1 is below low 2'],
  [`${T},3,2,1,1,1`, 'open 3 is outside of low 1 to high 2'],
  [`${T},1,2,1,0.5,1`, 'close 0.5 is outside of low 1 to high 2'],
  [`${T},-1,2,1,1,1`, 'open -1 is negative'],
  [`${T},1,2,1,1,-0.1`, 'volume -0.1 is negative'],
  [`${T},NaN,2,1,1,1`, 'open "NaN" is not a finite number'],
  [`${T},1,Infinity,1,1,1`, 'high "Infinity" is not a finite number'],
  [`${T},1,1e999,1,1,1`, 'high "1e999" has too many digits'],
  [`${T},1,0x10,1,1,1`, 'high "0x10" is not a finite number'],
  [`${T},1,2,1,,1`, 'close "" is not a finite number'],
  [`${T},1,2,1,1`, '5 fields instead of 6'],
  [`${T},1,2,1,1,1,1`, '7 fields instead of 6'],
  ['2024-01-01T00:30:00Z,1,1,1,1,1', 'timestamp 2024-01-01T00:30:00Z is not on the grid of 1h (UTC)'],
])('the row %s is refused: %s', async (row, reason) => {
  expect(await reasonOf(row)).toEqual([{ line: 2, reason }])
})

test('a trade count must be a whole number', async () => {
  const [first] = await reasonOf(`${T},1,1,1,1,1,1.5`, `${HEADER},trade_count`)
  expect(first?.reason).toBe('trade_count "1.5" is not a whole number')
})

test('bad rows are left out by line and reason, the good ones kept, blank lines ignored', async () => {
  const text = [
    HEADER,
    '2024-01-01T02:00:00Z,1,1,1,1,1',
    '',
    '2024-01-01T02:00:00Z,2,2,2,2,2',
    '2024-01-01T01:00:00Z,1,1,1,1,1',
    '2024-01-01T03:00:00Z,"oops,1,1,1,1',
    '2024-01-01T06:00:00Z,1,1,1,1,1',
    '"2024-01-01T08:00:00Z", 1 ,"1",1,1,1',
    '',
  ].join('\r\n')
  const result = await parse(`\uFEFF${text}`)
  expect(result.candles.map(({ time }) => new Date(time).getUTCHours())).toEqual([2, 6, 8])
  expect(result).toMatchObject({
    read: 6,
    rejected: [
      { line: 4, reason: 'timestamp 2024-01-01T02:00:00Z is there twice' },
      { line: 5, reason: 'timestamp 2024-01-01T01:00:00Z is out of order' },
      { line: 6, reason: 'open "\\"oops" is not a finite number' },
    ],
    rejected_count: 3,
    gaps: { count: 2, missing: 4, longest: { bars: 3 } },
  })
})

test('the first hundred bad rows are listed and all of them counted', async () => {
  const result = await parse(`${HEADER}\n${'x,1,1,1,1,1\n'.repeat(250)}`)
  expect(result.rejected).toHaveLength(100)
  expect(result.rejected.at(-1)?.line).toBe(101)
  expect(result.rejected_count).toBe(250)
})

test('strict: one bad row and there are no candles', async () => {
  const text = `${HEADER}\n${T},1,1,1,1,1\n${T},1,1,1,1,1\n`
  expect(await parse(text, { ...crypto, strict: true })).toMatchObject({ candles: [], read: 2, rejected_count: 1 })
  expect((await parse(text)).candles).toHaveLength(1)
})

describe('what is strange about good rows is said, and they are taken all the same', () => {
  const row = (stamp: string, price = 1, volume = 1) => `${stamp},${price},${price},${price},${price},${volume}`
  const warned = async (rows: string[], options: ImportOptions) => {
    const { candles, warnings, rejected_count } = await parse([HEADER, ...rows].join('\n'), options)
    expect([candles.length, rejected_count]).toEqual([rows.length, 0])
    return warnings
  }

  test('gaps of an equity are those of the exchange calendar', async () => {
    const days = ['2024-01-12', '2024-01-16', '2024-01-18'].map((day) => row(day))
    expect(await warned(days, equity)).toEqual([
      'AAPL 1d: 1 bar missing in 1 gap, the longest 1 bar from 2024-01-17T00:00:00.000Z to 2024-01-17T00:00:00.000Z',
    ])
  })

  test('bars without volume and an absurd jump', async () => {
    const stamps = ['00', '01', '02'].map((hour) => `2024-01-01T${hour}:00Z`) as [string, string, string]
    expect(await warned([row(stamps[0]), row(stamps[1], 1, 0), row(stamps[2], 3)], crypto)).toEqual([
      'BTC/USD 1h: 1 bar without volume, 2024-01-01T01:00:00.000Z',
      'BTC/USD 1h: 1 absurd jump, 2024-01-01T02:00:00.000Z (200 %)',
    ])
  })

  test('a jump like a split, with what the candles are said to be', async () => {
    const days = [row('2024-01-02', 400), row('2024-01-03', 100)]
    const [unsaid] = await warned(days, equity)
    expect(unsaid).toContain('like a split in candles that are said to be unknown, 2024-01-03T00:00:00.000Z (4:1)')
    expect((await warned(days, { ...equity, adjustment: 'raw' }))[0]).toContain('said to be raw')
  })

  test('times of several zones, and times without one', async () => {
    const zoned = ['2024-01-01T00:00Z', '2024-01-01T02:00+01:00', '1704074400', '2024-01-01T04:00:00+0100']
    expect(
      await warned(
        zoned.map((stamp) => row(stamp)),
        { ...crypto, zone: 'Europe/Berlin' },
      ),
    ).toEqual([])
    const mixed = [row('2024-01-01T00:00Z'), row('2024-01-01 02:00')]
    expect(await warned(mixed, { ...crypto, zone: 'Europe/Berlin' })).toEqual([
      'timestamps with and without a zone in one file: those without were read in Europe/Berlin',
    ])
  })

  test('one bar alone is nothing strange', async () => {
    expect(await warned([row('2024-01-01')], { ...crypto, timeframe: '1d' })).toEqual([])
  })
})

test('a line without end is no candle file', async () => {
  const file = `${HEADER}\n${'1'.repeat(200_000)}`
  await expect(parse(file)).rejects.toThrow('line 2 is longer than 100000 characters')
})

test('what is written is what is read, however the file is cut into pieces', async () => {
  const cases = fc.record({
    seed: fc.integer(),
    bars: fc.integer({ min: 1, max: 40 }),
    newline: fc.constantFrom('\n', '\r\n'),
    epoch: fc.boolean(),
    piece: fc.integer({ min: 1, max: 200 }),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ seed, bars, newline, epoch, piece }) => {
      const start = Date.UTC(2024, 0, 1)
      const candles = generateCandles({ timeframe: '1h', start, bars, seed, startPrice: 30, volatility: 0.05 })
      const stamp = ({ time }: CandleText) => (epoch ? String(time) : new Date(time).toISOString())
      const lines = candles.map((c) => [stamp(c), c.open, c.high, c.low, c.close, c.volume, c.trade_count].join(','))
      const bytes = new TextEncoder().encode([`${HEADER},trade_count`, ...lines].join(newline))
      const pieces = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
        bytes.slice(i * piece, (i + 1) * piece),
      )
      expect(await parseCandleCsv(pieces, crypto)).toMatchObject({ candles, rejected_count: 0 })
    }),
    { numRuns: 60 },
  )
})
