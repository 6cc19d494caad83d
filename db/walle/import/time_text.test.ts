import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTimeReader, readTime } from './time_text.ts'

const at = (...parts: [number, number, number?, number?, number?, number?, number?]) => ({ time: Date.UTC(...parts) })
const NO_TIME = { reason: 'is not a time such as 2024-01-31T09:30:00Z' }
const NO_YEAR = { reason: 'is not in the years 1900 to 2199' }

test.each([
  ['2024-01-31T09:30:00Z', at(2024, 0, 31, 9, 30)],
  ['2024-01-31 09:30', at(2024, 0, 31, 14, 30)],
  ['2024-07-31T09:30:15.069', at(2024, 6, 31, 13, 30, 15, 69)],
  ['2024-07-31t09:30:15.0699999+05:30', at(2024, 6, 31, 4, 0, 15, 69)],
  ['2024-02-29', at(2024, 1, 29, 5)],
  ['1900-01-01T00:00:00Z', at(1900, 0, 1)],
  ['2199-12-31T18:59:59.999', at(2199, 11, 31, 23, 59, 59, 999)],
])('%s is read in the zone that it has, or in New York', (text, expected) => {
  expect(readTime(text, 'America/New_York')).toEqual(expected)
})

test.each([
  ['2023-02-29', NO_TIME],
  ['2024-01-01T24:00:00Z', NO_TIME],
  ['2024-01-01T00:00:00+24:00', NO_TIME],
  ['2024-01-01T00:00:00+01:60', NO_TIME],
  ['2024-01-01Z', NO_TIME],
  ['1704067200', NO_TIME],
  ['', NO_TIME],
  ['0024-01-01', NO_TIME],
  ['1899-12-31T23:59:59.999Z', NO_YEAR],
  ['2199-12-31T19:00:00', NO_YEAR],
  ['2024-03-10T02:00:00', { reason: 'does not exist in America/New_York (clock change)' }],
  ['2024-03-10T02:59:59.999', { reason: 'does not exist in America/New_York (clock change)' }],
])('%s is none, and it is said why', (text, expected) => {
  expect(readTime(text, 'America/New_York')).toEqual(expected)
})

test('a day that begins with a clock change begins with its first moment', () => {
  expect(readTime('2018-11-04', 'America/Sao_Paulo')).toEqual(at(2018, 10, 4, 3))
  expect(readTime('2022-03-27', 'Asia/Beirut')).toEqual(at(2022, 2, 26, 22))
})

test('every moment that is written with a zone is read back in any other', () => {
  const moments = fc.integer({ min: Date.UTC(1900, 0, 2), max: Date.UTC(2199, 11, 30) })
  fc.assert(
    fc.property(moments, fc.constantFrom('UTC', 'Asia/Kolkata', 'America/New_York'), (time, zone) => {
      expect(readTime(new Date(time).toISOString(), zone)).toEqual({ time })
    }),
  )
})

test('a file may not write years that are not there, in words or as numbers', () => {
  const { read } = createTimeReader('BTC/USD', '1h', 'UTC')
  expect(read('0024-01-01T00:00:00Z')).toEqual({ reason: 'timestamp 0024-01-01T00:00:00Z is no date of the calendar' })
  expect(read('9999-01-01T00:00:00Z')).toEqual({
    reason: 'timestamp 9999-01-01T00:00:00Z is not in the years 1900 to 2199',
  })
  expect(read('99999999996000')).toEqual({ reason: 'timestamp 99999999996000 is not in the years 1900 to 2199' })
})
