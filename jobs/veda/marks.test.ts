import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hasNews, hear, newSample, SAMPLE_EVERY_MS, take } from './market_sample.ts'
import { type BarNews, isSound, type Mark, type MarketNews, MOST_AHEAD_MS, markOf, newer } from './marks.ts'

const NOW = Date.UTC(2026, 2, 2, 15, 0, 30)
const MINUTE = 60_000

const quote = (bid: string, ask: string, at = NOW): MarketNews => ({ kind: 'quote', symbol: 'S', at, bid, ask })
const trade = (price: string, at = NOW): MarketNews => ({ kind: 'trade', symbol: 'S', at, price, size: '1' })
function bar(minute: number, close: string, changes: Partial<BarNews> = {}): BarNews {
  const prices = { open: '1', high: '200', low: '1', close, volume: '0', trade_count: null }
  return {
    kind: 'bar',
    symbol: 'S',
    timeframe: '1m',
    time: NOW - 30_000 + minute * MINUTE,
    revised: false,
    ...prices,
    ...changes,
  }
}

test.each([
  ['the middle of a quote', quote('100.01', '100.02'), { price: '100.015', at: NOW, source: 'quote' }],
  ['of a quote as wide as may be', quote('99.5', '100.5'), { price: '100', at: NOW, source: 'quote' }],
  ['nothing of one that is wider', quote('99.49', '100.51'), null],
  ['nothing of one whose bid is above its ask', quote('100.02', '100.01'), null],
  ['the price of a trade', trade('3.10'), { price: '3.1', at: NOW, source: 'trade' }],
  ['the close of a bar, as of its end', bar(-1, '7.50'), { price: '7.5', at: NOW - 30_000, source: 'bar' }],
])('a mark is %s', (_, news, mark) => {
  expect(markOf(news)).toEqual(mark)
})

test.each([
  ['a price of nothing', trade('0')],
  ['a price below nothing', trade('-1')],
  ['no number', quote('NaN', '1')],
  ['an exponent', quote('1e3', '1001')],
  ['an empty side', quote('0', '1')],
  ['a moment that is none', trade('1', Number.NaN)],
  ['a moment that has yet to come', trade('1', NOW + MOST_AHEAD_MS + 1)],
  ['a bar that is not over', bar(0, '1')],
  ['a bar with a hole', bar(-1, '1', { low: '' })],
])('%s is not sound', (_, news) => {
  expect(isSound(news, NOW)).toBe(false)
})

test('a venue whose clock is a little ahead is believed', () => {
  expect(isSound(trade('1', NOW + MOST_AHEAD_MS), NOW)).toBe(true)
})

test('each bar is told once, and once more when it is corrected; what a correction has replaced is not told after it', () => {
  const sample = newSample()
  const heard = (...news: MarketNews[]) => {
    for (const one of news) hear(sample, one)
    return take(sample, NOW)
  }
  expect(heard(bar(-3, '1'), bar(-3, '1'))).toEqual([bar(-3, '1')])
  expect(heard(bar(-3, '1'))).toEqual([])
  expect(heard(bar(-3, '2', { revised: true }))).toEqual([bar(-3, '2', { revised: true })])
  expect(heard(bar(-3, '1'), bar(-3, '2', { revised: true }))).toEqual([])
  expect(heard(bar(-2, '4', { revised: true }), bar(-2, '3'))).toEqual([bar(-2, '4', { revised: true })])
  expect(sample.mark).toEqual({ price: '4', at: NOW - 30_000 - MINUTE, source: 'bar' })
})

test('of quotes the newest is told, and then none for a while', () => {
  const sample = newSample()
  hear(sample, quote('1', '1.002', NOW - 2))
  hear(sample, quote('1', '1.001', NOW - 1))
  hear(sample, quote('1', '1.003', NOW - 3))
  expect(take(sample, NOW)).toEqual([quote('1', '1.001', NOW - 1)])
  hear(sample, quote('1', '1.004', NOW))
  expect([hasNews(sample, NOW), take(sample, NOW + SAMPLE_EVERY_MS - 1)]).toEqual([false, []])
  expect(take(sample, NOW + SAMPLE_EVERY_MS)).toEqual([quote('1', '1.004', NOW)])
})

const moments = fc.integer({ min: NOW - 5 * MINUTE, max: NOW + 2 * MOST_AHEAD_MS })
const texts = fc.oneof(
  fc.integer({ min: 0, max: 500 }).map((cents) => String(cents / 100)),
  fc.constantFrom('', '-1', 'NaN', '1e9', '0', '99999999999999999999999'),
)
const anything: fc.Arbitrary<MarketNews> = fc.oneof(
  fc.record({ kind: fc.constant('quote' as const), symbol: fc.constant('S'), at: moments, bid: texts, ask: texts }),
  fc.record({ kind: fc.constant('trade' as const), symbol: fc.constant('S'), at: moments, price: texts, size: texts }),
  fc
    .record({ minute: fc.integer({ min: -40, max: 2 }), close: texts, revised: fc.boolean() })
    .map(({ minute, close, revised }) => bar(minute, close, { revised })),
)

test('whatever a stream says, a mark never goes back in time, is a price, and what waits stays small', () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 200 }), (stream) => {
      const sample = newSample()
      let before: Mark | null = null
      for (const news of stream.filter((each) => isSound(each, NOW))) {
        hear(sample, news)
        const { mark } = sample
        expect(mark?.at ?? 0).toBeGreaterThanOrEqual(before?.at ?? 0)
        if (mark !== null) expect(Number(mark.price)).toBeGreaterThan(0)
        expect(newer(mark, before)?.at).toBe(mark?.at)
        expect(sample.bars.size).toBeLessThanOrEqual(20)
        before = mark
      }
      const told = take(sample, NOW)
      expect(told.filter(({ kind }) => kind !== 'bar').length).toBeLessThanOrEqual(2)
      expect([take(sample, NOW), sample.told.size <= 20]).toEqual([[], true])
    }),
  )
})
