import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bytesToColumns,
  bytesToFloats,
  columnsOf,
  columnsToBytes,
  firstAtOrAfter,
  floatsToBytes,
  joinBytes,
  mergeColumns,
  monthOf,
  nextMonth,
  splitByMonth,
} from './candle_columns.ts'
import type { CandleColumns, CandleText } from './rows.ts'

const HOUR = 3_600_000

/** Ascending bars between 2019 and 2026, the values as wild as float64. */
const columns: fc.Arbitrary<CandleColumns> = fc
  .uniqueArray(fc.integer({ min: Date.UTC(2019, 0) / HOUR, max: Date.UTC(2026, 0) / HOUR }), { maxLength: 60 })
  .chain((hours) => {
    const values = fc.float64Array({ minLength: hours.length, maxLength: hours.length })
    const time = Float64Array.from(hours, (hour) => hour * HOUR).sort()
    return fc.record({
      time: fc.constant(time),
      open: values,
      high: values,
      low: values,
      close: values,
      volume: values,
    })
  })

test('a float64 is its eight little-endian bytes', () => {
  expect([...floatsToBytes(Float64Array.of(1, -2.5))]).toEqual([
    0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0x04, 0xc0,
  ])
})

test('bytes that are not aligned, or not a whole number of floats, are read or refused', () => {
  const bytes = new Uint8Array(17)
  bytes.set(floatsToBytes(Float64Array.of(0.1, 7)), 1)
  expect(bytesToFloats(bytes.subarray(1))).toEqual(Float64Array.of(0.1, 7))
  expect(() => bytesToFloats(bytes)).toThrow('a float64 column of 17 bytes is not whole')
})

test('columns survive the way into monthly blocks and back, bit for bit', () => {
  fc.assert(
    fc.property(columns, (bars) => {
      const blocks = splitByMonth(bars)
      for (const { month, columns: part } of blocks) {
        expect(part.time.every((time) => monthOf(time) === month)).toBe(true)
        expect(bytesToColumns(columnsToBytes(part))).toEqual(part)
      }
      expect(blocks.map(({ month }) => month)).toEqual([...new Set(Array.from(bars.time, monthOf))])
      expect(joinBytes(blocks.map((block) => columnsToBytes(block.columns)))).toEqual(bars)
    }),
  )
})

test('blocks whose columns differ in length are refused', () => {
  const bytes = columnsToBytes(
    columnsOf([{ time: 0, open: '1', high: '1', low: '1', close: '1', volume: '1', trade_count: null }]),
  )
  expect(() => bytesToColumns({ ...bytes, close: new Uint8Array(16) })).toThrow('differ in length')
})

test('merging keeps every bar once, in order, and the newer one where both have it', () => {
  const rows = fc.uniqueArray(fc.nat(30), { maxLength: 20 })
  fc.assert(
    fc.property(rows, rows, (a, b) => {
      const of = (times: number[], close: string) =>
        columnsOf(
          times
            .toSorted((x, y) => x - y)
            .map(
              (time): CandleText => ({
                time,
                open: '1',
                high: '3',
                low: '1',
                close,
                volume: '0',
                trade_count: null,
              }),
            ),
        )
      const merged = mergeColumns(of(a, '1'), of(b, '2'))
      expect([...merged.time]).toEqual([...new Set([...a, ...b])].toSorted((x, y) => x - y))
      expect([...merged.close]).toEqual([...merged.time].map((time) => (b.includes(time) ? 2 : 1)))
    }),
  )
})

test('the first bar at or after a time is found', () => {
  const times = Float64Array.of(10, 20, 30)
  expect([0, 10, 11, 20, 30, 31].map((time) => firstAtOrAfter(times, time))).toEqual([0, 0, 1, 1, 2, 3])
})

test('months are those of UTC', () => {
  expect(monthOf(Date.UTC(2024, 1, 29, 23, 59))).toBe(Date.UTC(2024, 1))
  expect(nextMonth(Date.UTC(2024, 11))).toBe(Date.UTC(2025, 0))
})
