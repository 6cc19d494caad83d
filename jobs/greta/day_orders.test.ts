/** When day orders of equities end: with the real session, whatever bars there are; beyond the calendar by the bars. */
import { expect, test } from 'vitest'
import { type BarText, playScript, type Script } from '../../tests/support/scripted.ts'

const QUIET: BarText = [100, 101, 99, 100]
const DIP: BarText = [100, 101, 90, 95]
const LIMIT = { side: 'buy', type: 'limit', limit_price: 95, time_in_force: 'day' } as const

/** One day order, decided when the first bar closes; the last bar would fill it. */
function play(timeframe: Script['timeframe'], times: string[]) {
  const bars = times.map((_, index) => (index === times.length - 1 ? DIP : QUIET))
  const { orders } = playScript({
    symbol: 'SPY',
    ...(timeframe ? { timeframe } : {}),
    bars,
    times: times.map((time) => `${time}Z`),
    at: { 0: [LIMIT] },
  })
  return orders[0]?.status
}

test('it is tested on the last bar of its session', () => {
  expect(play('1h', ['2024-07-02T17:00:00', '2024-07-02T19:00:00'])).toBe('filled')
  expect(play('1m', ['2024-07-02T17:00:00', '2024-07-02T19:59:00'])).toBe('filled')
})

test('it is not tested on after-hours bars of the same day', () => {
  expect(play('1h', ['2024-07-02T17:00:00', '2024-07-02T19:00:00', '2024-07-02T20:00:00'])).toBe('expired')
  expect(play('1h', ['2024-07-02T17:00:00', '2024-07-02T20:00:00'])).toBe('expired')
})

test('on a half day it ends at 13:00 in New York', () => {
  expect(play('1h', ['2024-07-03T15:00:00', '2024-07-03T16:00:00'])).toBe('filled')
  expect(play('1h', ['2024-07-03T15:00:00', '2024-07-03T17:00:00'])).toBe('expired')
})

test('decided at the close it lives for the next session, over holidays and weekends', () => {
  expect(play('1h', ['2024-07-03T16:00:00', '2024-07-05T14:00:00'])).toBe('filled')
  expect(play('1h', ['2024-07-05T19:00:00', '2024-07-08T19:00:00'])).toBe('filled')
  expect(play('1h', ['2024-07-05T19:00:00', '2024-07-09T13:00:00'])).toBe('expired')
})

test('a hole in the data does not lengthen it', () => {
  expect(play('1d', ['2024-01-05T00:00:00', '2024-01-08T00:00:00'])).toBe('filled')
  expect(play('1d', ['2024-01-05T00:00:00', '2024-01-09T00:00:00'])).toBe('expired')
})

test('decided on Friday 2001-09-07 and with the exchange closed from Tuesday on, it lives for Monday', () => {
  expect(play('1d', ['2001-09-07T00:00:00', '2001-09-10T00:00:00'])).toBe('filled')
  expect(play('1d', ['2001-09-10T00:00:00', '2001-09-17T00:00:00'])).toBe('filled')
})

test('the change of the clocks moves the close in UTC', () => {
  expect(play('1h', ['2024-03-08T19:00:00', '2024-03-08T20:00:00'])).toBe('filled')
  expect(play('1h', ['2024-03-11T18:00:00', '2024-03-11T20:00:00'])).toBe('expired')
})

test('beyond the years of the calendar it lives to the last bar of its date', () => {
  expect(play('1h', ['2040-07-02T17:00:00', '2040-07-02T19:00:00'])).toBe('filled')
  expect(play('1h', ['2040-07-02T17:00:00', '2040-07-02T19:00:00', '2040-07-03T13:00:00'])).toBe('expired')
  expect(play('1d', ['1985-01-04T00:00:00', '1985-01-07T00:00:00'])).toBe('filled')
})
