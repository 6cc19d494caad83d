import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sessionOfDay } from '../../../../db/walle/calendar/calendar.ts'
import { TIMEFRAME_MS, TIMEFRAMES } from '../../../../strategies/api.ts'
import { createMarket, type MarketFaults } from './market.ts'

const SETTINGS = { seed: 7, spread_bps: 2, depth: 50_000 }
const CALM: MarketFaults = { bar_missing: 0, bar_late: 0, bar_late_ms: 0, bar_revised: 0 }
const MONDAY = Date.UTC(2026, 2, 2)
const LATER = MONDAY + 10 * 86_400_000
const around = createMarket(SETTINGS, 'SIM/USD')
const equity = createMarket(SETTINGS, 'SIM')

describe('prices', () => {
  test('follow from seed, symbol and second, whoever asks and in whatever order', () => {
    const seconds = fc.array(fc.integer({ min: 1_000_000_000, max: 1_900_000_000 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(seconds, (asked) => {
        const one = createMarket(SETTINGS, 'SIM/USD')
        const other = createMarket(SETTINGS, 'SIM/USD')
        expect(asked.map(one.mid)).toEqual([...asked].reverse().map(other.mid).reverse())
      }),
    )
    const second = MONDAY / 1000
    expect(createMarket({ ...SETTINGS, seed: 8 }, 'SIM/USD').mid(second)).not.toBe(around.mid(second))
    expect(equity.mid(second)).not.toBe(around.mid(second))
  })

  test('are the same on every machine and in every version', () => {
    const at = (market: typeof around) => [0, 1, 59, 60, 86_400].map((second) => market.mid(MONDAY / 1000 + second))
    expect(at(around)).toEqual([9788, 9788, 9798, 9798, 9623])
  })

  test('move from second to second by less than a hundredth, and stay within half of where they are at home', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => around.mid(MONDAY / 1000 + index))
    for (const [index, price] of many.entries()) {
      if (index > 0) expect(Math.abs(price / (many[index - 1] as number) - 1)).toBeLessThan(0.01)
    }
    const years = Array.from({ length: 2_000 }, (_, index) => around.mid(1_500_000_000 + index * 86_400))
    expect(Math.max(...years) / Math.min(...years)).toBeLessThan(3.1)
    expect(Math.max(...years) / Math.min(...years)).toBeGreaterThan(1.1)
  })

  test('are asked and bid a little apart', () => {
    const { bid, ask } = around.quoteAt(10_000)
    expect({ bid, ask }).toEqual({ bid: 9_999, ask: 10_001 })
    expect(createMarket({ ...SETTINGS, spread_bps: 100 }, 'SIM/USD').quoteAt(10_000)).toEqual({
      bid: 9_950,
      ask: 10_050,
    })
  })
})

describe('bars', () => {
  test('of a minute hold all of its seconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 20_000_000, max: 30_000_000 }), (minute) => {
        const prices = Array.from({ length: 60 }, (_, second) => around.mid(minute * 60 + second))
        const { open, high, low, close } = around.minute(minute)
        expect({ open, high, low, close }).toEqual({
          open: prices[0],
          high: Math.max(...prices),
          low: Math.min(...prices),
          close: prices[59],
        })
      }),
      { numRuns: 50 },
    )
  })

  test('of every timeframe are made of the same minutes', () => {
    const moment = fc.integer({ min: Date.UTC(2024, 0, 2), max: Date.UTC(2026, 10, 1) })
    fc.assert(
      fc.property(fc.constantFrom(...TIMEFRAMES), moment, fc.boolean(), (timeframe, at, isEquity) => {
        const market = isEquity ? equity : around
        const step = TIMEFRAME_MS[timeframe]
        const time = Math.floor(at / step) * step
        const later = time + 2 * 86_400_000
        const [bar] = market.bars({ timeframe, start: time, end: time }, later, CALM)
        const minutes = market.bars({ timeframe: '1m', start: time, end: time + step - 1 }, later, CALM)
        if (minutes.length === 0) {
          expect(bar).toBeUndefined()
          return
        }
        const numbers = (name: 'high' | 'low' | 'volume' | 'trade_count') =>
          minutes.map((minute) => Number(minute[name]))
        const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
        expect(bar).toMatchObject({ time, open: minutes[0]?.open, close: minutes.at(-1)?.close })
        expect(Number(bar?.high)).toBe(Math.max(...numbers('high')))
        expect(Number(bar?.low)).toBe(Math.min(...numbers('low')))
        expect(Number(bar?.volume)).toBeCloseTo(sum(numbers('volume')), 4)
        expect(Number(bar?.trade_count)).toBe(sum(numbers('trade_count')))
      }),
      { numRuns: 60 },
    )
  })

  test('of equities are those of the sessions, also on a half day and after New York changed its clocks', () => {
    for (const [day, bars] of [
      [Date.UTC(2024, 6, 3), 210],
      [Date.UTC(2026, 2, 9), 390],
      [Date.UTC(2026, 6, 4), 0],
    ] as const) {
      const found = equity.bars({ timeframe: '1m', start: day, end: day + 86_399_999 }, LATER, CALM)
      const session = sessionOfDay(day)
      expect(found).toHaveLength(day > LATER ? 0 : bars)
      if (bars === 0 || session === null || session === 'outside') continue
      expect(found[0]?.time).toBe(session.open)
      expect(found.at(-1)?.time).toBe(session.close - 60_000)
      const [whole] = equity.bars({ timeframe: '1d', start: day, end: day }, LATER, CALM)
      expect(whole).toMatchObject({ time: day, open: found[0]?.open, close: found.at(-1)?.close })
    }
  })

  test('come when they are closed, not before', () => {
    const ask = (now: number) => around.bars({ timeframe: '5m', start: MONDAY, end: MONDAY + 600_000 }, now, CALM)
    expect(ask(MONDAY + 299_999)).toEqual([])
    expect(ask(MONDAY + 300_000).map(({ time }) => time)).toEqual([MONDAY])
    expect(ask(MONDAY + 900_000).map(({ time }) => time)).toEqual([MONDAY, MONDAY + 300_000, MONDAY + 600_000])
  })

  test('start on the grid when they are asked for from in between', () => {
    const bars = around.bars({ timeframe: '1h', start: MONDAY + 1, end: MONDAY + 3 * 3_600_000 - 1 }, LATER, CALM)
    expect(bars.map(({ time }) => time)).toEqual([MONDAY + 3_600_000, MONDAY + 7_200_000])
  })
})

describe('bars that go wrong', () => {
  const request = { timeframe: '1m', start: MONDAY, end: MONDAY + 999 * 60_000 } as const

  test('are missing, always the same ones', () => {
    const ask = () => around.bars(request, LATER, { ...CALM, bar_missing: 0.1 })
    const missing = 1000 - ask().length
    expect(missing).toBeGreaterThan(50)
    expect(missing).toBeLessThan(150)
    expect(ask()).toEqual(ask())
  })

  test('come late', () => {
    const closed = MONDAY + 1000 * 60_000
    const ask = (now: number) => around.bars(request, now, { ...CALM, bar_late: 1, bar_late_ms: 8_000 }).length
    expect(ask(closed)).toBe(999)
    expect(ask(closed + 7_999)).toBe(999)
    expect(ask(closed + 8_000)).toBe(1000)
  })

  test('are corrected half a minute after they were first told', () => {
    const faults = { ...CALM, bar_revised: 1 }
    const first = around.bar('1m', MONDAY, MONDAY + 60_000, faults)
    const final = around.bar('1m', MONDAY, MONDAY + 90_000, faults)
    expect(Number(first?.volume)).toBeLessThan(Number(final?.volume))
    expect([first?.revised, final?.revised]).toEqual([false, true])
    const { revised: _, ...plain } = around.bar('1m', MONDAY, LATER, CALM) ?? { revised: false }
    expect(final).toMatchObject(plain)
  })
})
