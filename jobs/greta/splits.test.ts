/** How a split looks in quantities and in prices, and what it makes of an order from before it. */
import { expect, test } from 'vitest'
import { Decimal } from './decimals.ts'
import {
  type AppliedSplit,
  isJump,
  isSplit,
  sharesPerHeld,
  splitBetween,
  splitOfPrice,
  splitPrice,
  splitQty,
  splitSince,
} from './splits.ts'

const between = (before: string, after: string) => {
  const found = splitBetween(new Decimal(before), new Decimal(after))
  return found && `${found.ratio.fresh}:${found.ratio.old}${found.isWhole ? '' : ' and cash'}`
}

test.each([
  ['10', '40', '4:1'],
  ['-10', '-40', '4:1'],
  ['100', '10', '1:10'],
  ['10', '15', '3:2'],
  ['0.5', '2', '4:1'],
  // 3 for 2 of 5 shares is 7.5.
  ['5', '7', '3:2 and cash'],
  ['105', '10', '1:10 and cash'],
  ['10', '11', null],
  ['10', '-40', null],
  ['10', '0', null],
  ['0', '10', null],
])('%s shares that are %s: %s', (before, after, expected) => {
  expect(between(before, after)).toBe(expected)
})

test.each([
  [200, 50, 4],
  [200, 50.001, 4],
  [1.2, 12, 0.1],
  [30, 20, 1.5],
  [200, 196, 1],
  [200, 120, 1],
  [200, 0, 1],
])('a bar that cost %d and costs %d is of %d shares', (before, after, expected) => {
  expect(splitOfPrice(before, after)).toBe(expected)
})

test('a jump is more than half as much again, of shares alone', () => {
  const moves = [66, 67, 100, 150, 151].map((after) => isJump('AAPL', 100, after))
  expect(moves).toEqual([true, false, false, false, true])
  expect([isJump('BTC/USD', 100, 1), isJump('AAPL', 0, 100)]).toEqual([false, false])
})

const splits: AppliedSplit[] = [
  { symbol: 'A', fresh: 4, old: 1, next_order: 3 },
  { symbol: 'B', fresh: 1, old: 10, next_order: 4 },
  { symbol: 'A', fresh: 3, old: 2, next_order: 7 },
]

test('an order has become what the splits after it have made of it, in its symbol', () => {
  const since = (symbol: string, ordinal: number) => splitSince(splits, { symbol, ordinal })
  expect([since('A', 2), since('A', 3), since('A', 7), since('B', 3)]).toEqual([
    { fresh: 12, old: 2 },
    { fresh: 3, old: 2 },
    { fresh: 1, old: 1 },
    { fresh: 1, old: 10 },
  ])
  expect([isSplit(since('A', 2)), isSplit(since('A', 7)), isSplit({ fresh: 2, old: 2 })]).toEqual([true, false, false])
  expect([splitQty('5', since('A', 2)).toString(), splitPrice('180', since('A', 2))]).toEqual(['30', '30'])
  expect([splitPrice(null, since('A', 2)), splitPrice('180.000', since('A', 7))]).toEqual([null, '180.000'])
})

test('what is held is of the shares that bars tell of when both have been split, in whichever order', () => {
  expect(sharesPerHeld([], 'A', 4)).toBe(4)
  expect(sharesPerHeld(splits, 'B', 1)).toBe(10)
  expect(sharesPerHeld(splits, 'A', 6)).toBe(1)
  expect(sharesPerHeld(splits, 'C')).toBe(1)
  expect(sharesPerHeld([{ symbol: 'BTC/USD', fresh: 10, old: 1, next_order: 0 }], 'BTC/USD')).toBe(1)
})
