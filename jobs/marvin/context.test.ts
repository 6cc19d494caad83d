import { expect, test } from 'vitest'
import {
  type CandleWindow,
  defineStrategy,
  type Json,
  type OrderView,
  type StrategyContext,
  z,
} from '../../strategies/api.ts'
import { createInstance } from './context.ts'
import type { InstanceOptions, TickPort } from './contract.ts'

const EMPTY = new Float64Array(0)
const WINDOW: CandleWindow = {
  length: 0,
  time: EMPTY,
  open: EMPTY,
  high: EMPTY,
  low: EMPTY,
  close: EMPTY,
  volume: EMPTY,
}
const ORDER: OrderView = {
  id: 'w-run-0-0',
  symbol: 'A',
  side: 'buy',
  type: 'limit',
  qty: '1',
  limit_price: '9',
  stop_price: null,
  time_in_force: 'gtc',
  status: 'accepted',
  filled_qty: '0',
  filled_avg_price: null,
  parent_id: null,
  reject_reason: null,
}

function port(overrides: Partial<TickPort> = {}): TickPort {
  return {
    ts: 60_000,
    barIndex: 7,
    window: () => WINDOW,
    position: () => ({ qty: '2', avg_price: '10' }),
    cash: () => '100',
    equity: () => 120,
    openOrders: () => [ORDER],
    ...overrides,
  }
}

type Ctx = StrategyContext<Record<string, unknown>, Json>

function play(onWindow: (ctx: Ctx) => void, options: Partial<InstanceOptions> = {}) {
  return createInstance(
    defineStrategy<z.ZodObject, Json>({
      id: 'probe',
      version: '1',
      description: '',
      params: z.object({}),
      window: () => ({ bars: 3 }),
      onWindow,
    }),
    { runId: 'run', symbols: ['A', 'B'], timeframe: '1m', params: {}, seed: 1, port: port(), ...options },
  )
}

test('an order is recorded with plain decimals, defaults and the id that the strategy got', () => {
  let id = ''
  const instance = play((ctx) => {
    id = ctx.buy({ symbol: 'A', qty: 1e-7, type: 'limit', limit_price: '010.50', stop_loss: 9.5 })
  })
  expect(instance.asked).toBe(false)
  instance.onWindow()
  expect(instance.asked).toBe(true)
  expect(id).toBe('w-run-7-0')
  expect(instance.take()).toEqual({
    intents: [
      {
        kind: 'place',
        client_order_id: 'w-run-7-0',
        symbol: 'A',
        side: 'buy',
        order_type: 'limit',
        qty: '0.0000001',
        limit_price: '10.5',
        stop_price: null,
        trail_price: null,
        trail_percent: null,
        time_in_force: 'gtc',
        extended_hours: false,
        take_profit: null,
        stop_loss: '9.5',
        reason: null,
      },
    ],
    skips: [],
    logs: [],
  })
  expect(instance.asked).toBe(false)
})

test('ids count all orders and cancels of a tick, over calls and takes, and start anew at the next tick', () => {
  const here = port()
  const strategy = defineStrategy({
    id: 'probe',
    version: '1',
    description: '',
    params: z.object({}),
    window: () => ({ bars: 1 }),
    onOrder: (ctx, order) => ctx.cancel(order.id),
    onTick: (ctx) => void ctx.sell({ symbol: 'A', qty: 1, type: 'market' }),
    onWindow: (ctx) => void ctx.buy({ symbol: 'A', qty: 1, type: 'market' }),
  })
  const options: InstanceOptions = { runId: 'run', symbols: ['A'], timeframe: '1m', params: {}, seed: 1, port: here }
  const instance = createInstance(strategy, options)
  instance.onOrder(ORDER)
  expect(instance.onTick()).toEqual([])
  expect(instance.take().intents.map(({ client_order_id }) => client_order_id)).toEqual(['w-run-0-0', 'w-run-7-1'])
  const elsewhere = createInstance(strategy, options)
  elsewhere.restore(instance.save())
  elsewhere.onWindow()
  expect(elsewhere.take().intents.map(({ client_order_id }) => client_order_id)).toEqual(['w-run-7-2'])
  here.barIndex = 8
  elsewhere.onWindow()
  expect(elsewhere.take().intents.map(({ client_order_id }) => client_order_id)).toEqual(['w-run-8-0'])
})

test('close and target order the difference to what is held', () => {
  const ids: unknown[] = []
  const instance = play((ctx) => {
    ids.push(ctx.close('A', 'done'), ctx.target('A', '2'), ctx.target('A', 5), ctx.target('A', '-0.5'))
  })
  instance.onWindow()
  expect(ids).toEqual(['w-run-7-0', null, 'w-run-7-1', 'w-run-7-2'])
  expect(instance.take().intents).toMatchObject([
    { side: 'sell', qty: '2', order_type: 'market', reason: 'done' },
    { side: 'buy', qty: '3', reason: null },
    { side: 'sell', qty: '2.5' },
  ])
})

test('nonsense is recorded as asked, a wrong call is the error of the strategy', () => {
  const instance = play((ctx) => {
    ctx.buy({ symbol: 'NOPE', qty: Number.NaN, type: 'iceberg' as never })
    ctx.sell({ symbol: undefined, qty: 'abc', type: 'market', limit_price: Number.POSITIVE_INFINITY })
    ctx.target('NOPE', 'lots')
    ctx.close('NOPE')
    ctx.buy({ symbol: 'A', qty: '1e900', type: 'market' })
  })
  instance.onWindow()
  expect(instance.take().intents).toMatchObject([
    { symbol: 'NOPE', qty: 'NaN', order_type: 'iceberg' },
    { symbol: 'undefined', qty: 'abc', limit_price: 'Infinity' },
    { symbol: 'NOPE', qty: 'lots' },
    { symbol: 'NOPE', qty: '0' },
    { qty: '1e900' },
  ])
  expect(() => play((ctx) => void ctx.buy(undefined as never)).onWindow()).toThrow('buy wants an order')
  expect(() => play((ctx) => void ctx.buy({ symbol: 'A' } as never)).onWindow()).toThrow('the order has no qty')
  expect(() => play((ctx) => ctx.cancel(undefined as never)).onWindow()).toThrow('cancel wants the id')
  expect(() => play((ctx) => void ctx.target('A', undefined as never)).onWindow()).toThrow('target wants')
})

test('the context shows the tick and what is held, and never the mode', () => {
  const seen: unknown[] = []
  const instance = play((ctx) => {
    seen.push(ctx.ts, ctx.bar_index, ctx.timeframe, ctx.symbols, ctx.cash, ctx.equity, ctx.position('A').qty)
    seen.push(Object.keys(ctx).sort())
  })
  instance.onWindow()
  expect(seen.slice(0, 7)).toEqual([60_000, 7, '1m', ['A', 'B'], '100', 120, '2'])
  expect(seen[7]).toEqual([
    ...['bar_index', 'buy', 'cancel', 'cancelAll', 'cash', 'close', 'equity', 'fetch', 'log', 'openOrders', 'params'],
    ...['position', 'random', 'sell', 'skip', 'state', 'symbols', 'target', 'timeframe', 'ts', 'window'],
  ])
})

test('nothing but state can be kept on the context', () => {
  expect(() => play((ctx) => void Object.assign(ctx, { mine: 1 })).onWindow()).toThrow('not extensible')
  const params = { list: [1] }
  expect(() => play((ctx) => (ctx.params.list as number[]).push(2), { params }).onWindow()).toThrow('not extensible')
  expect(params).toEqual({ list: [1] })
})

test('random numbers come from the seed and go on where they were saved', () => {
  const drawn: number[] = []
  const draw = (ctx: Ctx): void => void drawn.push(ctx.random())
  const one = play(draw)
  one.onWindow()
  const memory = one.save()
  one.onWindow()
  const again = play(draw, { seed: 99 })
  again.restore(memory)
  again.onWindow()
  play(draw).onWindow()
  play(draw, { seed: 2 }).onWindow()
  expect(drawn[0]).toBe(0.6270739405881613)
  expect(drawn[2]).toBe(drawn[1])
  expect(drawn[3]).toBe(drawn[0])
  expect(drawn[4]).not.toBe(drawn[0])
})

test('state comes back as it was saved, and what JSON would change is refused by its place', () => {
  const instance = play((ctx) => {
    ctx.state = { count: 1, list: [{ a: null }] }
  })
  instance.onWindow()
  expect(instance.save()).toEqual({
    state: { count: 1, list: [{ a: null }] },
    random: 1,
    tick: { bar_index: -1, intents: 0 },
  })
  const shared = { a: 1 }
  const saving = (state: unknown) => () => {
    const probe = play((ctx) => {
      ctx.state = state as Json
    })
    probe.onWindow()
    return probe.save()
  }
  expect(saving({ x: [Number.NaN] })).toThrow('ctx.state.x[0] is NaN')
  expect(saving({ x: new Map() })).toThrow('ctx.state.x is a Map')
  expect(saving({ x: shared, y: shared })).toThrow('ctx.state.y is the same object')
  expect(saving({ x: () => 1 })).toThrow('ctx.state.x is a function')
  expect(saving(undefined)).toThrow('ctx.state is a undefined')
  expect(saving('x'.repeat(1_000_000))).toThrow('1000002 bytes')
})

test('what a strategy may ask for at one tick is limited', () => {
  const floods = play((ctx) => {
    for (let count = 0; count < 1_001; count++) ctx.buy({ symbol: 'A', qty: 1, type: 'market' })
  })
  expect(() => floods.onWindow()).toThrow('more than 1000 orders and cancels at one tick')
  const chats = play((ctx) => {
    for (let count = 0; count < 150; count++) {
      ctx.log(`line ${count}`, { count })
      ctx.skip('x'.repeat(3_000))
    }
  })
  chats.onWindow()
  const { logs, skips } = chats.take()
  expect(logs).toHaveLength(101)
  expect(logs[0]).toEqual({ message: 'line 0', data: { count: 0 } })
  expect(logs[100]).toEqual({ message: '50 more log lines of this tick were left out' })
  expect([skips.length, skips[0]?.length]).toEqual([100, 2_000])
})

test('a strategy asks for more windows in onTick only', () => {
  const strategy = defineStrategy({
    id: 'probe',
    version: '1',
    description: '',
    params: z.object({ bars: z.number() }),
    window: () => ({ bars: 1 }),
    onTick: (ctx) => ctx.fetch({ symbol: 'A', timeframe: '1h', bars: ctx.params.bars }),
    onWindow: (ctx) =>
      (ctx as unknown as { fetch: (request: unknown) => void }).fetch({ symbol: 'A', timeframe: '1h', bars: 1 }),
  })
  const options = { runId: 'run', symbols: ['A'], timeframe: '1m' as const, seed: 1, port: port() }
  const instance = createInstance(strategy, { ...options, params: { bars: 5 } })
  expect(instance.onTick()).toEqual([{ symbol: 'A', timeframe: '1h', bars: 5 }])
  expect(() => instance.onWindow()).toThrow('ctx.fetch is for onTick')
  expect(() => createInstance(strategy, { ...options, params: { bars: 0 } }).onTick()).toThrow('bars must be between')
})

test('a callback that is async is refused, and so is a definition without onWindow', () => {
  expect(() => play(async () => {}).onWindow()).toThrow('onWindow must not be async')
  const { onWindow: _, ...rest } = defineStrategy({
    id: 'probe',
    version: '1',
    description: '',
    params: z.object({}),
    window: () => ({ bars: 1 }),
    onWindow() {},
  })
  expect(() =>
    createInstance(rest as never, { runId: 'r', symbols: [], timeframe: '1m', params: {}, seed: 1, port: port() }),
  ).toThrow('default export is not a strategy: missing onWindow')
})
