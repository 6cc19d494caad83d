import { expect, test } from 'vitest'
import { DomainError } from './errors.ts'
import { importCandles } from './import_candles.ts'

const HEADER = new TextEncoder().encode('timestamp,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,1,1,1,1\n')

test.each(['csv', 'parquet'] as const)(
  'a %s file that its sender ends with a refusal is refused for that',
  async (format) => {
    const refusal = new DomainError('PAYLOAD_TOO_LARGE', 'the body is larger than 9 bytes')
    async function* source() {
      yield HEADER
      throw refusal
    }
    const importing = importCandles(() => Promise.reject(new Error('nothing is stored')), 'UTC', {
      symbol: 'BTC/USD',
      timeframe: '1m',
      source: source(),
      format,
      strict: false,
    })
    await expect(importing).rejects.toBe(refusal)
  },
)

test('a symbol without corporate actions takes no adjusted candles', async () => {
  async function* source() {
    yield HEADER
  }
  const importing = importCandles(() => Promise.reject(new Error('nothing is stored')), 'UTC', {
    symbol: 'BTC/USD',
    timeframe: '1m',
    source: source(),
    format: 'csv',
    strict: false,
    adjustment: 'split',
  })
  await expect(importing).rejects.toThrow(
    'BTC/USD has no corporate actions: its candles are raw, leave the adjustment out',
  )
})
