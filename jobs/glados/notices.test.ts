import { expect, test } from 'vitest'
import type { LogEvent } from '../../db/events/envelope.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import { type NoticeContext, noticesOf, type ToldRun } from './notices.ts'

const RUN = '00000000-0000-4000-8000-000000000001'
const ORDER = '00000000-0000-4000-8000-000000000002'
const ORDER_ROW = {
  id: ORDER,
  symbol: 'AAPL',
  side: 'sell',
  order_type: 'limit',
  qty: '3',
  filled_qty: '0',
  filled_avg_price: null,
}
const run = (changes: Partial<ToldRun>): NoticeContext => ({
  runs: new Map([[RUN, { id: RUN, mode: 'live', strategy_id: 'dip', exchange: 'alpaca', label: null, ...changes }]]),
  orders: new Map([[ORDER, ORDER_ROW]]),
})

let ids = 0
function event<T extends LogEvent['type']>(type: T, payload: PayloadOf<T>, changes: object = {}): LogEvent {
  ids += 1
  const id = `event ${ids}`
  const base = { id, kind: 'evt', type, version: 1, run_id: null, corr_id: id, causation_id: null, trace_id: null }
  return { ...base, ts: '2026-01-02T03:04:05.000Z', producer: 'veda', headers: {}, payload, ...changes } as LogEvent
}

const told = (events: LogEvent[], context = run({})) =>
  noticesOf(events, context).map(({ kind, level, title, body, mode, order_id }) => ({
    ...{ kind, level, title, body, mode, order_id },
  }))

const rejected = (changes: object = {}) =>
  event(
    'orders.Rejected',
    { order_id: ORDER, client_order_id: 'w-1', reason: 'risk', rule: 'max_position', detail: '3 is more than 2' },
    { run_id: RUN, ...changes },
  )

test('a rejected order is told with what it was and why', () => {
  expect(told([rejected()])).toEqual([
    {
      ...{ kind: 'rejects', level: 'warning', mode: 'live', order_id: ORDER },
      ...{
        title: 'Order rejected: sell 3 AAPL limit (dip alpaca live)',
        body: 'w-1: risk, max_position: 3 is more than 2',
      },
    },
  ])
  expect(told([rejected()], { ...run({ label: 'my dip' }), orders: new Map() })[0]?.title).toBe(
    'Order rejected: w-1 (my dip alpaca live)',
  )
  expect(told([rejected({ producer: 'greta' })])).toEqual([])
  expect(told([rejected()], run({ mode: 'backtest' }))).toEqual([])
})

test('what had filled in part when an order ended is told, and an end without a fill is not', () => {
  const ended = (type: 'orders.Cancelled' | 'orders.Expired', reason: string | null) =>
    event(type, { order_id: ORDER, client_order_id: 'w-1', reason }, { run_id: RUN })
  const partly = (mode: ToldRun['mode']) => ({
    ...run({ mode }),
    orders: new Map([[ORDER, { ...ORDER_ROW, filled_qty: '2', filled_avg_price: '101.5' }]]),
  })
  expect(told([ended('orders.Expired', 'its session is over')], partly('live'))).toEqual([
    {
      ...{ kind: 'fills', level: 'info', mode: 'live', order_id: ORDER },
      ...{
        title: 'Sold 2 of 3 AAPL at 101.5 (dip alpaca live)',
        body: 'The rest of order w-1 is gone: its session is over.',
      },
    },
  ])
  expect(told([ended('orders.Cancelled', null)], partly('paper'))[0]?.body).toBe('The rest of order w-1 is gone.')
  expect(told([ended('orders.Cancelled', null)])).toEqual([])
  expect(told([ended('orders.Cancelled', null)], partly('backtest'))).toEqual([])
})

test('an order that somebody changed at the exchange is told with what it is now', () => {
  const changed = event(
    'orders.Replaced',
    {
      ...{ order_id: ORDER, client_order_id: 'w-1', exchange_order_id: 'x2', replaces: 'x1', qty: '5', price: '99' },
      ...{ stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc' },
      ...{ filled_qty: '1', filled_avg_price: '101' },
    },
    { run_id: RUN },
  )
  expect(told([changed])).toEqual([
    {
      ...{ kind: 'mismatches', level: 'info', mode: 'live', order_id: ORDER },
      title: 'Changed at the exchange: sell AAPL limit (dip alpaca live)',
      body: 'w-1 is now: quantity 5, limit 99, gtc.',
    },
  ])
})

const finding = (kind: 'split' | 'position_mismatch' | 'missed_fill' | 'foreign_order', symbol: string) => ({
  ...{ class: kind, symbol, client_order_id: null, detail: `${symbol} is odd` },
})
const reconciled = (findings: ReturnType<typeof finding>[], corr_id: string) =>
  event(
    'account.Reconciled',
    {
      ...{ exchange: 'alpaca', mode: 'live', cause: 'timer', since: '2026-01-02T03:04:05.000Z', orders_checked: 1 },
      ...{ findings, left_out: 0 },
    },
    { corr_id },
  )
const alarm = (message: string, corr_id: string, part = 'account alpaca live') =>
  event('system.Error', { part, message }, { corr_id })

test('what a reconciliation found is told once, though two events tell of it', () => {
  const events = [
    reconciled([finding('position_mismatch', 'AAPL'), finding('missed_fill', 'MSFT')], 'one'),
    alarm('AAPL is paused: AAPL is odd', 'one'),
    alarm('the credentials are those of another account than before: 2, it was 1', 'one'),
    reconciled([finding('missed_fill', 'MSFT')], 'two'),
    alarm('AAPL is paused: AAPL is odd', 'two'),
  ]
  expect(told(events).map(({ kind, title, body, mode }) => ({ kind, title, body, mode }))).toEqual([
    {
      ...{ kind: 'mismatches', mode: 'live', title: 'Account alpaca live is not as Weaver knows it: AAPL' },
      body: 'position_mismatch AAPL: AAPL is odd',
    },
    {
      ...{ kind: 'mismatches', mode: 'live', title: 'Account alpaca live needs somebody' },
      body: 'the credentials are those of another account than before: 2, it was 1',
    },
    {
      ...{ kind: 'mismatches', mode: 'live', title: 'Account alpaca live needs somebody' },
      body: 'AAPL is paused: AAPL is odd',
    },
  ])
})

test('many findings are a few lines, and long texts are cut', () => {
  const many = Array.from({ length: 12 }, (_, n) => finding('split', `S${n}`))
  const [notice] = told([reconciled(many, 'many')])
  expect(notice?.body.split('\n')).toHaveLength(11)
  expect(notice?.body).toMatch(/and 2 more$/)
  const [long] = told([alarm('x'.repeat(3_000), 'long', `a\npart ${'y'.repeat(300)}`)])
  expect(long?.title).toMatch(/^Weaver needs somebody: a part y+…$/)
  expect([long?.title.length, long?.body.length]).toEqual([200, 2_000])
})

const account = (state: 'ready' | 'refused') =>
  event('account.Updated', {
    ...{ exchange: 'alpaca', mode: 'live', state, state_reason: '401', cash: '1', equity: '1', buying_power: '1' },
  })
const failed = (task: string, run_id: string | null = RUN) =>
  event('job.Failed', { task, job_id: '7', run_id, error: 'why' })

test.each([
  ['refused credentials', [account('refused')], ['errors critical alpaca live refuses its credentials']],
  ['an account whose money changed', [account('ready')], []],
  [
    'a halt of a run',
    [event('system.Halted', { rule: 'max_drawdown', reason: null, by: 'max_drawdown' }, { run_id: RUN })],
    ['halts critical dip alpaca live is halted: max_drawdown'],
  ],
  [
    'its end',
    [event('system.Resumed', { by: 'a person' }, { run_id: RUN })],
    ['halts info dip alpaca live trades again'],
  ],
  ['a job that a live run waited for: its end is told', [failed('veda.place_order')], []],
  [
    'one that it goes on without',
    [failed('veda.submit_order')],
    ['jobs warning The job veda.submit_order of dip alpaca live has failed for good'],
  ],
  [
    'one of no run',
    [failed('veda.fetch_candles', null)],
    ['jobs warning The job veda.fetch_candles has failed for good'],
  ],
  ['a message that was lost', [failed('glados.send_notification', null)], []],
])('%s', (_, events, lines) => {
  expect(told(events).map(({ kind, level, title }) => `${kind} ${level} ${title}`)).toEqual(lines)
})
