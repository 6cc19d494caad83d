import { expect, test } from 'vitest'
import { countOrder, lossesOf, markEquity, newWatch } from './risk_watch.ts'

const HOUR = 3_600_000

/** Marks every hour from 01:00 on; gives the worst loss of the day and the worst drawdown after each. */
function after(marks: number[]): [dailyLoss: number, drawdown: number][] {
  const watch = newWatch('1000')
  return marks.map((equity, index) => {
    markEquity(watch, (index + 1) * HOUR, equity)
    const { dailyLoss, drawdown } = lossesOf(watch, 0)
    return [dailyLoss, drawdown]
  })
}

test('a loss counts from what the account had when the run began, and stays when it is made good', () => {
  expect(after([950, 900, 1000])).toEqual([
    [50, 0.05],
    [100, 0.1],
    [100, 0.1],
  ])
})

test('a gain raises what a drawdown is of, not what the day began with', () => {
  expect(after([1250, 1000, 990])).toEqual([
    [0, 0],
    [0, 0.2],
    [10, 0.208],
  ])
})

test('the mark at midnight is of the day that ends, and the next day starts from it', () => {
  const marks = [...Array.from({ length: 22 }, () => 1000), 900, 800, 790]
  const losses = after(marks)
  expect(losses.slice(-3).map(([daily]) => daily)).toEqual([100, 200, 10])
  expect(losses.at(-1)?.[1]).toBeCloseTo(0.21, 12)
})

test('an order counts for sixty seconds', () => {
  const watch = newWatch('1000')
  countOrder(watch, 1_000)
  countOrder(watch, 1_000)
  countOrder(watch, 31_000)
  expect([31_000, 60_999, 61_000, 91_000].map((ts) => lossesOf(watch, ts).ordersLastMinute)).toEqual([3, 3, 1, 0])
})
