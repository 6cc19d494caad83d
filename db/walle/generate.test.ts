import { expect, test } from 'vitest'
import { generateCandles, mulberry32 } from './generate.ts'

const options = {
  timeframe: '1m',
  start: Date.UTC(2024, 0, 1),
  bars: 5_000,
  seed: 42,
  startPrice: 100,
  volatility: 0.01,
} as const

test('the random numbers are those of mulberry32', () => {
  const random = mulberry32(42)
  expect([random(), random(), random()]).toEqual([0.6011037519201636, 0.44829055899754167, 0.8524657934904099])
})

test('the same seed gives the same candles, another one others', () => {
  expect(generateCandles(options)).toEqual(generateCandles(options))
  expect(generateCandles({ ...options, seed: 43 })[1]).not.toEqual(generateCandles(options)[1])
})

test('every bar is on the grid, consistent, positive, with at most 4 decimals; most open at the close before', () => {
  const candles = generateCandles(options)
  expect(candles).toHaveLength(5_000)
  let gaps = 0
  candles.forEach((candle, i) => {
    const [open, high, low, close] = [candle.open, candle.high, candle.low, candle.close].map(Number) as [
      number,
      number,
      number,
      number,
    ]
    expect(candle.time).toBe(options.start + i * 60_000)
    expect(low).toBeGreaterThan(0)
    expect(Math.min(open, close)).toBeGreaterThanOrEqual(low)
    expect(Math.max(open, close)).toBeLessThanOrEqual(high)
    for (const text of [candle.open, candle.high, candle.low, candle.close, candle.volume]) {
      expect(text).toMatch(/^\d+(\.\d{0,3}[1-9])?$/)
    }
    if (i > 0 && candle.open !== candles[i - 1]?.close) gaps += 1
  })
  expect(gaps).toBeGreaterThan(50)
  expect(gaps).toBeLessThan(150)
})

test('a price never falls below its smallest step', () => {
  const candles = generateCandles({ ...options, bars: 2_000, startPrice: 0.0001, volatility: 0.9 })
  expect(candles.every(({ low }) => Number(low) >= 0.0001)).toBe(true)
})

test('a start off the grid or a price of 0 is refused', () => {
  expect(() => generateCandles({ ...options, start: options.start + 1 })).toThrow('grid of 1m')
  expect(() => generateCandles({ ...options, startPrice: 0 })).toThrow('greater than 0')
})
