import { expect, test } from 'vitest'
import {
  compareOrders,
  type Finding,
  fitFindings,
  judgeMissing,
  type OurOrder,
  replacedIn,
  restingLost,
  turnOf,
  unnamedIn,
} from './reconcile.ts'
import type { Execution, VenueOrder } from './venue.ts'

const our = (changes: Partial<OurOrder> = {}): OurOrder => ({
  ...{ client_order_id: 'c1', exchange_order_id: 'x1', symbol: 'AAPL', status: 'accepted', qty: '10', filled_qty: '0' },
  ...{ side: 'buy', send_state: 'answered', replaced_ids: [], filled_before: '0', ...changes },
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
    replaces: null,
    trail_price: null,
    trail_percent: null,
    submitted_at: 0,
    updated_at: 5,
    ...changes,
  },
})
const fill = (changes: Partial<Execution> = {}): Execution => ({
  ...{ execution_id: 'e1', exchange_order_id: 'x1', client_order_id: 'c1', symbol: 'AAPL', side: 'buy', qty: '1' },
  ...{ price: '1', cum_qty: '1', fee: null, fee_qty: null, at: 1, ...changes },
})

const NOW = 1_000_000

test('another order that the venue has by our client id is not ours: no report, and what it filled is nobody’s known', () => {
  const ours = our({ exchange_order_id: null, status: 'rejected' })
  const { reports, alive, findings, foreign } = compareOrders([ours], [theirs({ side: 'sell', qty: '5' })], [], NOW)
  expect([reports, alive, foreign, findings.map((one) => one.class)]).toEqual([[], [], [], ['foreign_order']])
})

test('what both know is no report, and nothing is asked for', () => {
  expect(compareOrders([our()], [theirs()], [], NOW)).toEqual({
    reports: [],
    findings: [],
    foreign: [],
    lost: [],
    alive: [],
  })
  expect(
    compareOrders(
      [our({ status: 'filled', filled_qty: '10' })],
      [theirs({ status: 'filled', filled_qty: '10' })],
      [],
      NOW,
    ).reports,
  ).toEqual([])
  expect(
    compareOrders([our({ status: 'rejected', exchange_order_id: null })], [theirs({ status: 'rejected' })], [], NOW)
      .reports,
  ).toEqual([])
})

test('fills go before the order, by their cumulative quantity, also when only the exchange’s id tells whose they are', () => {
  const late = fill({ execution_id: 'e2', client_order_id: null, cum_qty: '3', qty: '2', at: 0 })
  const { reports, findings } = compareOrders(
    [our()],
    [theirs({ status: 'cancelled', filled_qty: '3' })],
    [late, fill({ at: 9 })],
    NOW,
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
  expect(unnamedIn([order], []).map((one) => one.client_order_id)).toEqual(asked)
})

test('an order that lives at the venue and is ended with us is told apart', () => {
  const { alive, findings, reports } = compareOrders([our({ status: 'rejected' })], [theirs()], [], NOW)
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
  const found = compareOrders([], orders, executions, NOW, new Set([LOSER]))
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
  const strange = compareOrders([], orders, executions, NOW)
  expect([strange.lost, strange.foreign.length, strange.findings.map((one) => one.class)]).toEqual([
    [],
    1,
    ['foreign_order'],
  ])
})

/** Ours was replaced twice, and the last one filled in part; the first fill is of the first. */
const CHAIN = [
  theirs({ status: 'replaced', replaced_by: 'x2', filled_qty: '1', updated_at: 2 }),
  theirs({
    ...{ exchange_order_id: 'x2', client_order_id: 'd2', replaces: 'x1', replaced_by: 'x3', qty: '8' },
    ...{ status: 'replaced', filled_qty: '2', updated_at: 4 },
  }),
  theirs({
    exchange_order_id: 'x3',
    client_order_id: 'd3',
    replaces: 'x2',
    qty: '5',
    filled_qty: '3',
    status: 'partial',
  }),
]
const FILLS = [
  fill({ execution_id: 'e1', qty: '1', cum_qty: '1', at: 1 }),
  fill({ execution_id: 'e2', exchange_order_id: 'x2', client_order_id: null, qty: '2', cum_qty: '2', at: 3 }),
  fill({ execution_id: 'e3', exchange_order_id: 'x3', client_order_id: 'd3', qty: '3', cum_qty: '3', at: 5 }),
]
const inWords = ({ reports }: ReturnType<typeof compareOrders>) =>
  reports.map(({ client_order_id, order, execution, successors = [], lost }) =>
    [
      ...[client_order_id, execution?.execution_id ?? `${order?.exchange_order_id} ${order?.status}`],
      ...successors.map((one) => `then ${one.exchange_order_id} ${one.status} ${one.filled_qty}`),
      ...(lost === true ? ['lost'] : []),
    ].join(' '),
  )

test('what was replaced unheard is followed, each before its own fills, and it is said once', () => {
  const found = compareOrders([our()], CHAIN, FILLS, NOW)
  expect(inWords(found)).toEqual([
    ...['c1 e1', 'c1 x1 replaced then x2 accepted 0', 'c1 e2', 'c1 x2 replaced then x3 accepted 0', 'c1 e3'],
    'c1 x3 partial',
  ])
  expect([found.foreign, found.alive, found.findings.map(({ detail }) => detail)]).toEqual([
    [],
    [],
    ['it was accepted with us and is replaced at the venue, by its order x2: it is followed'],
  ])
  // The same, where only the orders tell.
  expect(inWords(compareOrders([our()], CHAIN, [], NOW))).toEqual([
    ...['c1 x1 replaced then x2 accepted 0', 'c1 x2 replaced then x3 accepted 0', 'c1 x3 partial'],
  ])
})

test('what is on record as replaced says nothing more, and what took its place counts from what was filled before', () => {
  const followed = { exchange_order_id: 'x3', replaced_ids: ['x1', 'x2'], filled_before: '3', qty: '8' }
  const known = our({ ...followed, status: 'partial', filled_qty: '6' })
  expect(compareOrders([known], CHAIN, [], NOW)).toEqual({
    reports: [],
    findings: [],
    foreign: [],
    lost: [],
    alive: [],
  })
  const behind = compareOrders([our({ ...followed, status: 'accepted', filled_qty: '4' })], CHAIN, FILLS, NOW)
  expect(inWords(behind)).toEqual(['c1 e1', 'c1 e2', 'c1 e3', 'c1 x3 partial'])
  expect(behind.findings.map(({ detail }) => detail)).toEqual([
    'the venue filled 6 of 8, we knew of 4; it is partial there',
  ])
  const ended = our({ ...followed, status: 'cancelled', filled_qty: '6' })
  expect(inWords(compareOrders([ended], CHAIN.slice(0, 2), FILLS.slice(0, 2), NOW))).toEqual(['c1 e1', 'c1 e2'])
})

test('what is to take the place of ours, or was to, is not foreign while ours is open', () => {
  const next = theirs({ exchange_order_id: 'x2', client_order_id: 'd2', replaces: 'x1' })
  const executions = [fill({ exchange_order_id: 'x2', client_order_id: 'd2' })]
  const open = compareOrders([our()], [theirs(), next], executions, NOW)
  expect([open.reports, open.findings, open.foreign]).toEqual([[], [], []])
  const ended = compareOrders([our({ status: 'filled', filled_qty: '10' })], [next], executions, NOW)
  expect([ended.findings.map((one) => one.class), ended.foreign.length]).toEqual([['foreign_order'], 1])
  const other = compareOrders([our()], [{ ...next, replaces: 'x9' }], executions, NOW)
  expect([other.findings.map((one) => one.class), other.foreign.length]).toEqual([['foreign_order'], 1])
})

test('what took the place of ours and is not named is asked for, for five minutes; then ours has ended', () => {
  const replaced = theirs({ status: 'replaced', replaced_by: 'x2', updated_at: NOW })
  expect(replacedIn([our()], [replaced])).toEqual([replaced])
  expect(replacedIn([our()], CHAIN)).toEqual([])
  expect(replacedIn([our({ status: 'cancelled' })], [replaced])).toEqual([])
  const early = compareOrders([our()], [replaced], [], NOW + 299_999)
  expect([early.reports, early.findings]).toEqual([[], []])
  const late = compareOrders([our()], [replaced], [], NOW + 300_000)
  expect([inWords(late), late.findings.map((one) => one.class)]).toEqual([['c1 x1 replaced lost'], ['order_state']])
})

test('of ours that was replaced before the venue is to name what it has now', () => {
  const followed = our({ exchange_order_id: 'x3', replaced_ids: ['x1', 'x2'], filled_before: '3' })
  expect(unnamedIn([followed], CHAIN.slice(0, 2))).toEqual([followed])
  expect(unnamedIn([followed], CHAIN)).toEqual([])
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
