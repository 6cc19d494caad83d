import { expect, test } from 'vitest'
import {
  clockTime,
  decimal,
  direction,
  duration,
  eta,
  money,
  percent,
  profit,
  quantity,
  ratio,
  relative,
  utc,
} from './format.ts'

test('a decimal keeps digits that a float would lose', () => {
  expect(decimal('12345678901234567890.123456789012')).toBe('12,345,678,901,234,567,890.123456789012')
})

test('money is rounded half away from zero on its digits', () => {
  expect(money('1.005')).toBe('1.01')
  expect(money('-1.005')).toBe('−1.01')
  expect(money('999.995')).toBe('1,000.00')
  expect(money('0')).toBe('0.00')
})

test('a profit carries its sign, and zero has none', () => {
  expect(profit('12.3')).toBe('+12.30')
  expect(profit('-1234.5')).toBe('−1,234.50')
  expect(profit('-0.001')).toBe('0.00')
})

test('what is unknown is a dash and what is no decimal is shown as it is', () => {
  expect(money(null)).toBe('–')
  expect(decimal('n/a')).toBe('n/a')
  expect(ratio(null)).toBe('–')
  expect(percent(Number.NaN)).toBe('–')
})

test('a quantity drops zeros at the end', () => {
  expect(quantity('10.500000000')).toBe('10.5')
  expect(quantity('1500')).toBe('1,500')
})

test('a fraction is shown as percent', () => {
  expect(percent(0.1234)).toBe('12.34 %')
  expect(percent(-0.5, { sign: true, digits: 0 })).toBe('−50 %')
  expect(percent(0.021, { sign: true })).toBe('+2.10 %')
})

test('direction reads text without a float', () => {
  expect([direction('-0.00'), direction('0.0000000000000000001'), direction('-3'), direction(null)]).toEqual([
    0, 1, -1, 0,
  ])
})

test('times are UTC', () => {
  expect(utc('2026-03-01T14:05:09.123Z')).toBe('2026-03-01 14:05:09 UTC')
  expect(clockTime(0)).toBe('00:00:00')
})

test('a relative time names its largest unit', () => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  expect(relative('2026-03-01T11:58:30Z', now)).toBe('1 minute ago')
  expect(relative('2026-02-28T11:00:00Z', now)).toBe('yesterday')
  expect(relative('2026-03-01T11:59:30Z', now)).toBe('just now')
})

test('a duration shows its two largest units', () => {
  expect(duration(97_200_000)).toBe('1 d 3 h')
  expect(duration(90_000)).toBe('1 min 30 s')
  expect(duration(400)).toBe('< 1 s')
})

test('time left follows the pace so far', () => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  expect(eta(0.25, '2026-03-01T11:59:00Z', now)).toBe(180_000)
  expect(eta(0, '2026-03-01T11:59:00Z', now)).toBeNull()
  expect(eta(0.5, null, now)).toBeNull()
})
