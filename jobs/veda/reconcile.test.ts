import { expect, test } from 'vitest'
import {
  compareOrders,
  type Finding,
  fitFindings,
  judgeMissing,
  type OurOrder,
  restingLost,
  turnOf,
} from './reconcile.ts'
import type { Execution, VenueOrder } from './venue.ts'

const our = (changes: Partial<OurOrder> = {}): OurOrder => ({
  ...{ client_order_id: 'c1', exchange_order_id: 'x1', symbol: 'AAPL', status: 'accepted', qty: '10', filled_qty: '0' },
  ...{ side: 'buy', send_state: 'answered', ...changes },
})
const theirs = (changes: Partial<VenueOrder> = {}): VenueOrder => ({
  ...{ exchange_order_id: 'x1', client_order_id: 'c1', symbol: 'AAPL', side: 'buy', order_type: 'limit', qty: '10' },
  ...{ limit_price: '1', stop_price: null, time_in_force: 'gtc', status: 'accepted', filled_qty: '0' },
  ...{
    filled_avg_price: null,
    fee: null,
    fee_qty: null,
    reject_reason: null,
    replaced_by: null,
    submitted_at: 0,
    updated_at: 5,
    ...changes,
  },
})
const fill = (changes: Partial<Execution> = {}): Execution => ({
  ...{ execution_id: 'e1', exchange_order_id: 'x1', client_order_id: 'c1', symbol: 'AAPL', side: 'buy', qty: '1' },
  ...{ price: '1', cum_qty: '1', fee: null, fee_qty: null, at: 1, ...changes },
})

test('another order that the venue has by our client id is not ours: no report, and what it filled is nobody’s known', () => {
  const ours = our({ exchange_order_id: null, status: 'rejected' })
  const { reports, alive, findings, foreign } = compareOrders([ours], [theirs({ side: 'sell', qty: '5' })], [])
  expect([reports, alive, foreign, findings.map((one) => one.class)]).toEqual([[], [], [], ['foreign_order']])
})

test('what both know is no report, and nothing is asked for', () => {
  expect(compareOrders([our()], [theirs()], [])).toEqual({
    reports: [],
    unnamed: [],
    findings: [],
    foreign: [],
    lost: [],
    alive: [],
  })
  expect(
    compareOrders([our({ status: 'filled', filled_qty: '10' })], [theirs({ status: 'filled', filled_qty: '10' })], [])
      .reports,
  ).toEqual([])
  expect(
    compareOrders([our({ status: 'rejected', exchange_order_id: null })], [theirs({ status: 'rejected' })], []).reports,
  ).toEqual([])
})

test('fills go before the order, by their cumulative quantity, also when only the exchange’s id tells whose they are', () => {
  const late = fill({ execution_id: 'e2', client_order_id: null, cum_qty: '3', qty: '2', at: 0 })
  const { reports, findings } = compareOrders(
    [our()],
    [theirs({ status: 'cancelled', filled_qty: '3' })],
    [late, fill({ at: 9 })],
  )
  expect(reports.map(({ order, execution }) => execution?.execution_id ?? order?.status)).toEqual([
    'e1',
    'e2',
    'cancelled',
  ])
  expect(findings).toEqual([
    {
      class: 'missed_fill',
      symbol: 'AAPL',
      client_order_id: 'c1',
      detail: 'the venue filled 3 of 10, we knew of 0; it is cancelled there',
    },
  ])
})

test.each([
  ['never sent', our({ exchange_order_id: null, status: 'pending', send_state: 'to_send' }), []],
  ['sent, no answer', our({ exchange_order_id: null, status: 'submitted', send_state: 'sent' }), ['c1']],
  ['unclear', our({ exchange_order_id: null, status: 'submitted', send_state: 'unclear' }), ['c1']],
  ['acknowledged', our(), ['c1']],
  ['ended', our({ status: 'filled' }), []],
])('an order that the venue does not name and that is %s', (_name, order, asked) => {
  expect(compareOrders([order], [], []).unnamed).toEqual(asked)
})

test('an order that lives at the venue and is ended with us is told apart', () => {
  const { alive, findings, reports } = compareOrders([our({ status: 'rejected' })], [theirs()], [])
  expect(alive.map(({ detail }) => detail)).toEqual([
    'we hold it as rejected, the venue as accepted: it is cancelled there, order x1',
  ])
  expect(findings).toEqual([])
  expect(reports.length).toBe(1)
})

const LOSER = '6c84fb90-12c4-41e1-840d-7e9d1ba3ea59'

test('an order that a known run has placed and that is not on record is lost, not foreign; of an unknown run it is foreign', () => {
  const client_order_id = `w-${LOSER}-7-0`
  const orders = [
    theirs({ client_order_id, status: 'filled', filled_qty: '10' }),
    theirs({ client_order_id: `${client_order_id}-sl0`, exchange_order_id: 'x2', side: 'sell' }),
    theirs({ client_order_id: `w-${LOSER}-8-0`, exchange_order_id: 'x3', status: 'cancelled' }),
  ]
  const executions = [fill({ client_order_id: null, qty: '10' })]
  const found = compareOrders([], orders, executions, new Set([LOSER]))
  expect(found.findings.map((one) => [one.class, one.client_order_id])).toEqual([
    ['lost_order', client_order_id],
    ['lost_order', `${client_order_id}-sl0`],
  ])
  expect([found.foreign, found.lost.map((one) => [one.run_id, one.execution.qty])]).toEqual([[], [[LOSER, '10']]])
  expect([...restingLost(orders, found)]).toEqual([
    [
      'AAPL',
      `the run ${LOSER} has placed it, and it is not on record, as after a restore: sell 10, 0 filled, accepted at the venue as x2. No new order in AAPL until it is cancelled there`,
    ],
  ])
  const strange = compareOrders([], orders, executions)
  expect([strange.lost, strange.foreign.length, strange.findings.map((one) => one.class)]).toEqual([
    [],
    1,
    ['foreign_order'],
  ])
})

test('a missing order is said after three times over half a minute, and forgotten once it is there again', () => {
  let missing: ReturnType<typeof judgeMissing>['missing'] = new Map()
  const said = [0, 10_000, 29_999, 30_000].map((now) => {
    const judged = judgeMissing([our()], { notFound: ['c1'], notAsked: [] }, missing, now)
    missing = judged.missing
    return judged.findings.length
  })
  expect(said).toEqual([0, 0, 0, 1])
  const there = judgeMissing([our()], { notFound: [], notAsked: [] }, missing, 40_000)
  expect([there.missing.size, there.findings]).toEqual([0, []])
})

test('of many orders that the venue does not name each is looked up in its turn, and each is said', () => {
  const ids = Array.from({ length: 60 }, (_, n) => `c${n}`)
  const ours = ids.map((client_order_id) => our({ client_order_id }))
  let missing: ReturnType<typeof judgeMissing>['missing'] = new Map()
  const said = new Set<string | null>()
  for (let now = 0; now <= 100_000; now += 10_000) {
    const { asked, rest } = turnOf(ids, missing, 50)
    expect(asked.length).toBe(50)
    const judged = judgeMissing(ours, { notFound: asked, notAsked: rest }, missing, now)
    missing = judged.missing
    for (const { client_order_id } of judged.findings) said.add(client_order_id)
  }
  expect(said.size).toBe(60)
})

test('an event holds as many findings as fit, and counts the others', () => {
  const finding: Finding = { class: 'split', symbol: 'A', client_order_id: null, detail: 'why' }
  const fitted = fitFindings(Array.from({ length: 203 }, () => finding))
  expect([fitted.findings.length, fitted.left_out]).toEqual([200, 3])
})
