/** Files that hold no candles, and fill numbers that no market has: refused whole, in words that name them. */
import { expect, test } from 'vitest'
import { importCandles } from '../../jobs/glados/import_candles.ts'
import { fillRequestSchema } from '../../jobs/greta/fill_model.ts'

const HEADER = 'timestamp,open,high,low,close,volume\n'

async function refusalOf(format: 'csv' | 'parquet', text: string): Promise<string> {
  async function* source() {
    yield Buffer.from(text, 'latin1')
  }
  const stored = async () => {
    throw new Error('something was stored')
  }
  const request = { symbol: 'BTC/USD', timeframe: '1h', strict: false, format } as const
  return importCandles(stored, 'UTC', { ...request, source: source() }).then(
    () => 'taken',
    (error: Error) => error.message,
  )
}

test('a line of no end is named, and nothing of the file is stored', async () => {
  const good = '2024-01-01T00:00:00Z,1,1,1,1,1\n'
  expect(await refusalOf('csv', `${HEADER}${good}${'x'.repeat(300_000)}\n${good}`)).toBe(
    'line 3 is longer than 100000 characters: this is no file of candles',
  )
})

test('a header of control characters is not printed as it is', async () => {
  expect(await refusalOf('csv', '\x1b[2J\x07,b\n')).toBe(
    'the header must be timestamp,open,high,low,close,volume[,trade_count], but it is \uFFFD[2J\uFFFD,b',
  )
})

test.each([
  ['nothing', ''],
  ['garbage', 'garbage'.repeat(100)],
  ['the marks of Parquet around zeros', `PAR1${'\0'.repeat(200)}PAR1`],
  ['a length beyond the file', `PAR1${'x'.repeat(200)}\xff\xff\xff\x7fPAR1`],
])('a Parquet file of %s is called damaged', async (_, text) => {
  expect(await refusalOf('parquet', text)).toMatch(/^it is damaged or no Parquet file \(.+\): write it again/)
})

test.each([
  [{ slippage_bps: '10000' }, 'must be below 10000'],
  [{ slippage_bps: '1'.repeat(400) }, 'must be a plain decimal number that is not negative, such as 0.25'],
  [{ price_increment: 0 }, 'must be more than 0'],
  [{ leverage: true }, 'must be a number, such as 0.25'],
  [{ leverage: null }, 'must be a number, such as 0.25'],
  [{ latency_bars: '' }, 'must be a number, such as 0.25'],
  [{ latency_bars: [] }, 'must be a number, such as 0.25'],
  [{ max_volume_share: '0x1' }, 'must be a number, such as 0.25'],
  [{ latency_bars: '1.5' }, 'Invalid input: expected int, received number'],
])('the fill model refuses %j', (given, message) => {
  const { success, error } = fillRequestSchema.safeParse(given)
  expect(success).toBe(false)
  expect(error?.issues[0]).toMatchObject({ path: Object.keys(given), message })
})

test('numbers of a fill model may come as text', () => {
  expect(fillRequestSchema.parse({ leverage: '2.5', latency_bars: '3', max_volume_share: null })).toEqual({
    preset: 'weaver',
    leverage: 2.5,
    latency_bars: 3,
    max_volume_share: null,
  })
})
