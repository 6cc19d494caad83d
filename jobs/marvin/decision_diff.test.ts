import { expect, test } from 'vitest'
import type { PlaceIntent } from '../../strategies/api.ts'
import { compareDecisions, type Decision, MOST_TOLD } from './decision_diff.ts'

const ORDER: PlaceIntent = {
  ...{ kind: 'place', client_order_id: 'w-r-0-0', symbol: 'A', side: 'buy', order_type: 'limit', qty: '2' },
  ...{ limit_price: '100', stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc' },
  ...{ extended_hours: false, take_profit: null, stop_loss: null, reason: 'why' },
}

function at(bar_index: number, parts: Partial<Decision> = { intents: [ORDER] }): Decision {
  return { bar_index, ts: bar_index * 60_000, intents: [], skips: [], logs: [], ...parts }
}
const ALL = { from: 0, to: 10 }

test('the same decisions are the same', () => {
  const decisions = [at(1), at(3, { skips: ['no'] })]
  expect(compareDecisions(decisions, structuredClone(decisions), ALL)).toEqual({ ticks: 10, changed: 0, changes: [] })
})

test('a price that differs is told, and by what part', () => {
  const { changes } = compareDecisions([at(2)], [at(2, { intents: [{ ...ORDER, limit_price: '101', qty: '1' }] })], ALL)
  expect(changes).toEqual([
    {
      bar_index: 2,
      ts: '1970-01-01T00:02:00.000Z',
      was: 'buy 2 A limit limit_price 100',
      is: 'buy 1 A limit limit_price 101',
      differs: ['qty: 2 -> 1 (-50.0 %)', 'limit_price: 100 -> 101 (1.00 %)'],
    },
  ])
})

test.each<[string, Partial<Decision>, string, string[]]>([
  ['nothing at all', {}, 'nothing', ['1 -> 0 orders']],
  ['a skip', { skips: ['wait'] }, 'skipped: wait', ['1 -> 0 orders', 'skips']],
  ['a cancel', { intents: [{ kind: 'cancel', client_order_id: 'x' }] }, 'cancel x', []],
  ['another reason', { intents: [{ ...ORDER, reason: 'so' }] }, 'buy 2 A limit limit_price 100', ['reason: why -> so']],
  [
    'a log line',
    { intents: [ORDER], logs: [{ message: 'm', data: 1 }] },
    'buy 2 A limit limit_price 100; log: m 1',
    ['logs'],
  ],
])('instead of an order %s', (_, parts, is, differs) => {
  const { changed, changes } = compareDecisions([at(2)], [at(2, parts)], ALL)
  expect([changed, changes[0]?.is, changes[0]?.differs]).toEqual([1, is, differs])
})

test('only the ticks asked for are compared, first to last', () => {
  const { changes } = compareDecisions([at(7), at(1), at(4)], [], { from: 2, to: 7 })
  expect(changes.map(({ bar_index }) => bar_index)).toEqual([4])
})

test('as many changes are told as fit, and all are counted', () => {
  const many = Array.from({ length: MOST_TOLD + 5 }, (_, tick) => at(tick))
  const { changed, changes } = compareDecisions(many, [], { from: 0, to: MOST_TOLD + 5 })
  expect([changed, changes.length]).toEqual([MOST_TOLD + 5, MOST_TOLD])
})
