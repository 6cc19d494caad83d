import { expect, test } from 'vitest'
import { duration, money, percent, ratio, signedMoney, signedPercent, time } from './format.ts'

test.each([
  [money('1234567.891'), '1,234,567.89'],
  [money('-0.001'), '−0.001'],
  [money('-0'), '0.00'],
  [money(null), '–'],
  [money(''), '–'],
  [money(Number.NaN), '–'],
  [signedMoney('12.5'), '+12.50'],
  [signedMoney('-12.5'), '−12.50'],
  [percent(0.12345), '12.35 %'],
  [percent(-0.00001), '0.00 %'],
  [signedPercent(0.1), '+10.00 %'],
  [ratio(-6.07), '−6.07'],
  [ratio(undefined), '–'],
  [duration(0), '0 s'],
  [duration(59), '59 s'],
  [duration(90_061), '1 d 1 h'],
  [duration(3_660), '1 h 1 min'],
  [duration(86_400 + 5), '1 d'],
  [duration(null), '–'],
  [time('2024-01-02T03:04:05.678Z'), '2024-01-02 03:04'],
  [time(null), '–'],
])('%s is shown as %s', (shown, expected) => {
  expect(shown).toBe(expected)
})
