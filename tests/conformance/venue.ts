/**
 * What every venue must do that Weaver trades at, whoever plays it: one suite for the simulator, for Alpaca's adapter on
 * its emulator, and by hand for a paper account. What a venue cannot be made to do there, it leaves out of its `Stage`.
 */
import { describe, expect, test } from 'vitest'
import type { Execution, OrderToSend, Venue, VenueOrder } from '../../jobs/veda/venue.ts'
import { VenueError } from '../../jobs/veda/venue.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { until } from '../support/until.ts'

export interface Stage {
  venue: Venue
  /** A symbol that trades now, and a quantity of it that fills at once. */
  symbol: string
  qty: string
  /** Made new by each call: no two orders of two runs share one. */
  newClientId(): string
  /** Its price now, about. */
  price(): Promise<number>
  /** Lets the venue's time go by, where a test has it in its hands. */
  pass(ms: number): Promise<void>
  /** A quantity that is filled in parts. */
  partialQty?: string
  /** Breaks the stream and mends it again. */
  cutStream?(): Promise<void>
  /** A quantity that no account can pay for. */
  unaffordableQty: string
  /** Of a buy: part of the quantity that is kept as the fee. */
  keepsFee?: boolean
  /** Somebody else has open orders in the account, too: nothing may cancel all. */
  isShared?: boolean
  close(): Promise<void>
}

const ENDED = ['filled', 'cancelled', 'rejected', 'expired', 'replaced']

export function order(stage: Stage, given: Partial<OrderToSend> = {}): OrderToSend {
  return {
    client_order_id: stage.newClientId(),
    symbol: stage.symbol,
    side: 'buy',
    order_type: 'market',
    qty: stage.qty,
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    extended_hours: false,
    ...given,
  }
}

async function sent(stage: Stage, wanted: OrderToSend): Promise<VenueOrder> {
  const answer = await stage.venue.submit(wanted)
  if (answer.kind !== 'accepted') throw new Error(`not accepted: ${JSON.stringify(answer)}`)
  return answer.order
}

async function ended(stage: Stage, clientId: string): Promise<VenueOrder> {
  return until(`the end of order ${clientId}`, async () => {
    await stage.pass(1_000)
    const found = await stage.venue.orderByClientId(clientId)
    return found !== null && ENDED.includes(found.status) ? found : null
  })
}

const far = (price: number, share: number) => (Math.round(price * share * 100) / 100).toString()
const sum = (values: readonly string[]) => values.reduce((total, value) => total + Number(value), 0)
const positionOf = async ({ venue, symbol }: Stage) =>
  Number((await venue.positions()).find((position) => position.symbol === symbol)?.qty ?? '0')
const executionsOf = async ({ venue }: Stage, since: number, clientId: string) =>
  (await venue.executions(since)).filter(({ client_order_id }) => client_order_id === clientId)

/** Registers the tests; `open` is called for each. */
export function venueConformance(name: string, open: () => Promise<Stage>): void {
  const on = (title: string, work: (stage: Stage) => Promise<void>, needs?: (stage: Stage) => boolean) =>
    test(title, async ({ skip }) => {
      const stage = await open()
      try {
        if (needs && !needs(stage)) skip(`${name} cannot be made to do that here`)
        await work(stage)
      } finally {
        await stage.close()
      }
    })

  describe(`${name} trades as a venue must`, () => {
    orderTests(on)
    queryTests(on)
    streamTests(on)
    barTests(on)
  })
}

type On = (title: string, work: (stage: Stage) => Promise<void>, needs?: (stage: Stage) => boolean) => void

function orderTests(on: On): void {
  on('a market order is taken in, filled, and becomes a position', async (stage) => {
    const since = await stage.venue.time()
    const before = await positionOf(stage)
    const wanted = order(stage)
    const accepted = await sent(stage, wanted)
    expect(accepted).toMatchObject({ client_order_id: wanted.client_order_id, symbol: stage.symbol, side: 'buy' })
    const end = await ended(stage, wanted.client_order_id)
    expect(end).toMatchObject({
      exchange_order_id: accepted.exchange_order_id,
      status: 'filled',
      filled_qty: stage.qty,
    })
    expect(Number(end.filled_avg_price)).toBeGreaterThan(0)
    const executions = await executionsOf(stage, since - 60_000, wanted.client_order_id)
    expect(sum(executions.map(({ qty }) => qty))).toBeCloseTo(Number(stage.qty), 9)
    const kept = sum(executions.map(({ fee_qty }) => fee_qty ?? '0'))
    if (!stage.keepsFee) expect(kept).toBe(0)
    expect((await positionOf(stage)) - before).toBeCloseTo(Number(stage.qty) - kept, 9)
  })

  on('a client order id is good for one order', async (stage) => {
    const wanted = order(stage, { order_type: 'limit', limit_price: far(await stage.price(), 0.8) })
    const accepted = await sent(stage, wanted)
    expect(await stage.venue.submit(wanted)).toEqual({ kind: 'duplicate' })
    expect(await stage.venue.cancel(accepted)).toBe('requested')
    await ended(stage, wanted.client_order_id)
    expect(await stage.venue.submit(wanted)).toEqual({ kind: 'duplicate' })
    const known = (await stage.venue.orders({ since: 0 })).filter(
      (one) => one.client_order_id === wanted.client_order_id,
    )
    expect(known).toHaveLength(1)
  })

  on('an order that is kept back at the last moment does not arrive, and says so', async (stage) => {
    const wanted = order(stage, { order_type: 'limit', limit_price: far(await stage.price(), 0.8) })
    const kept = stage.venue.submit(wanted, () => Promise.reject(new VenueError('unavailable', 'halted')))
    await expect(kept).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('halted') })
    expect(await stage.venue.orderByClientId(wanted.client_order_id)).toBeNull()
  })

  on('the same order sent by two at once is taken in once', async (stage) => {
    const wanted = order(stage, { order_type: 'limit', limit_price: far(await stage.price(), 0.8) })
    const answers = await Promise.all([1, 2, 3].map(() => stage.venue.submit(wanted)))
    expect(answers.map(({ kind }) => kind).sort()).toEqual(['accepted', 'duplicate', 'duplicate'])
    await cancelled(stage, [wanted.client_order_id])
  })

  on('what the account cannot pay is refused in the words of the venue, and leaves nothing', async (stage) => {
    const wanted = order(stage, { qty: stage.unaffordableQty })
    const answer = await stage.venue.submit(wanted)
    expect(answer.kind).toBe('rejected')
    expect(answer.kind === 'rejected' && answer.reason).toMatch(/insufficient/)
    expect(await stage.venue.orderByClientId(wanted.client_order_id)).toBeNull()
  })

  on('a resting order is open until it is cancelled', async (stage) => {
    const wanted = order(stage, { order_type: 'limit', limit_price: far(await stage.price(), 0.8) })
    const accepted = await sent(stage, wanted)
    const isOpen = async () =>
      (await stage.venue.orders({ open: true })).some((one) => one.client_order_id === wanted.client_order_id)
    expect(await isOpen()).toBe(true)
    expect(await stage.venue.cancel(accepted)).toBe('requested')
    expect(await ended(stage, wanted.client_order_id)).toMatchObject({ status: 'cancelled', filled_qty: '0' })
    expect(await isOpen()).toBe(false)
    expect(await stage.venue.cancel(accepted)).toBe('ended')
  })

  on('a cancel that comes after the fill changes nothing', async (stage) => {
    const wanted = order(stage)
    const accepted = await sent(stage, wanted)
    await ended(stage, wanted.client_order_id)
    expect(await stage.venue.cancel(accepted)).toBe('ended')
    expect(await stage.venue.orderByClientId(wanted.client_order_id)).toMatchObject({ status: 'filled' })
  })

  on(
    'an order that is too big for the moment is filled in parts',
    partialFills,
    (stage) => stage.partialQty !== undefined,
  )

  on('an immediate order that finds no price is cancelled', async (stage) => {
    const wanted = order(stage, {
      order_type: 'limit',
      limit_price: far(await stage.price(), 0.8),
      time_in_force: 'ioc',
    })
    const answer = await stage.venue.submit(wanted)
    expect(answer.kind).toBe('accepted')
    expect(await ended(stage, wanted.client_order_id)).toMatchObject({ status: 'cancelled', filled_qty: '0' })
  })

  on(
    'everything open is cancelled at one word',
    async (stage) => {
      const price = await stage.price()
      const ids: string[] = []
      for (const share of [0.7, 0.75, 0.8]) {
        const wanted = order(stage, { order_type: 'limit', limit_price: far(price, share) })
        ids.push((await sent(stage, wanted)).client_order_id)
      }
      expect(await cancelEverything(stage, ids)).toBeGreaterThanOrEqual(3)
      for (const id of ids) expect((await ended(stage, id)).status).toBe('cancelled')
      expect(await stage.venue.orders({ open: true })).toEqual([])
    },
    ({ isShared }) => isShared !== true,
  )
}

/** An account may be somebody's who trades in it: what is not of this test is not for it to cancel. */
export async function cancelEverything({ venue }: Stage, ours: readonly string[]): Promise<number> {
  const open = (await venue.orders({ open: true })).map(({ client_order_id }) => client_order_id)
  const others = open.filter((id) => !ours.includes(id))
  if (others.length > 0)
    throw new Error(`open orders that are not of this test would be cancelled: ${others.join(', ')}`)
  return venue.cancelAll()
}

async function cancelled(stage: Stage, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const found = await stage.venue.orderByClientId(id)
    if (found !== null && !ENDED.includes(found.status)) await stage.venue.cancel(found)
  }
}

async function partialFills(stage: Stage): Promise<void> {
  const since = await stage.venue.time()
  const wanted = order(stage, { qty: stage.partialQty as string })
  await sent(stage, wanted)
  const end = await ended(stage, wanted.client_order_id)
  const executions = await executionsOf(stage, since - 60_000, wanted.client_order_id)
  expect(executions.length).toBeGreaterThan(1)
  expect(new Set(executions.map(({ execution_id }) => execution_id)).size).toBe(executions.length)
  expect(sum(executions.map(({ qty }) => qty))).toBeCloseTo(Number(end.filled_qty), 9)
  const cumulative = executions.map(({ cum_qty }) => cum_qty).filter((qty) => qty !== null)
  expect(cumulative).toEqual([...cumulative].sort((one, other) => Number(one) - Number(other)))
  const paid = executions.reduce((total, { qty, price }) => total + Number(qty) * Number(price), 0)
  expect(Number(end.filled_avg_price)).toBeCloseTo(paid / Number(end.filled_qty), 4)
}

function queryTests(on: On): void {
  on('an order that was never sent is not known', async ({ venue, newClientId }) => {
    expect(await venue.orderByClientId(newClientId())).toBeNull()
    const exchange_order_id = '00000000-0000-4000-8000-000000000000'
    expect(await venue.orderById(exchange_order_id)).toBeNull()
    expect(await venue.orderById('no id of this venue')).toBeNull()
    expect(await venue.cancel({ exchange_order_id })).toBe('not_found')
  })

  on('an order is known by the venue’s own id too, and took no other’s place', async (stage) => {
    const wanted = order(stage, { order_type: 'limit', limit_price: far(await stage.price(), 0.8) })
    const { exchange_order_id } = await sent(stage, wanted)
    expect(await stage.venue.orderById(exchange_order_id)).toMatchObject({
      ...{ exchange_order_id, client_order_id: wanted.client_order_id, qty: wanted.qty },
      ...{ replaces: null, replaced_by: null, trail_price: null, trail_percent: null },
    })
    await cancelled(stage, [wanted.client_order_id])
  })

  on('orders that changed since are listed, the older ones are not', async (stage) => {
    const first = order(stage)
    await sent(stage, first)
    await ended(stage, first.client_order_id)
    await stage.pass(5_000)
    const since = (await stage.venue.time()) + 1
    await stage.pass(5_000)
    const second = order(stage)
    await sent(stage, second)
    await ended(stage, second.client_order_id)
    const listed = async (from: number) => (await stage.venue.orders({ since: from })).map((one) => one.client_order_id)
    expect(await listed(since)).toContain(second.client_order_id)
    expect(await listed(since - 600_000)).toEqual(
      expect.arrayContaining([first.client_order_id, second.client_order_id]),
    )
    expect(await executionsOf(stage, since, first.client_order_id)).toEqual([])
  })

  on('money and positions are decimals in plain notation', async (stage) => {
    const wanted = order(stage)
    await sent(stage, wanted)
    await ended(stage, wanted.client_order_id)
    const { cash, equity, buying_power, currency, blocked } = await stage.venue.account()
    const [position] = await stage.venue.positions()
    for (const text of [cash, equity, buying_power, position?.qty, position?.avg_price]) {
      expect(text).toMatch(/^-?\d+(\.\d*[1-9])?$/)
    }
    expect(currency).toBe('USD')
    expect(blocked).toBeNull()
  })

  on('an asset says what its orders must look like, and one that there is not is null', async ({ venue, symbol }) => {
    expect(await venue.asset(symbol)).toMatchObject({ symbol, tradable: true })
    expect(await venue.asset('NO SUCH ASSET')).toBeNull()
  })

  on('what it says it can do, it does', async (stage) => {
    const assetClass = (await stage.venue.asset(stage.symbol))?.asset_class ?? 'equity'
    const price = await stage.price()
    const rest = { limit_price: far(price, 0.8), stop_price: far(price, 1.2), trail_percent: '10' }
    const ids: string[] = []
    for (const type of stage.venue.features.orderTypes[assetClass]) {
      const wanted = order(stage, {
        order_type: type,
        limit_price: type === 'limit' ? rest.limit_price : type === 'stop_limit' ? far(price, 1.25) : null,
        stop_price: type.startsWith('stop') ? rest.stop_price : null,
        trail_percent: type === 'trailing_stop' ? rest.trail_percent : null,
        time_in_force: stage.venue.features.timeInForce[assetClass].includes('gtc') ? 'gtc' : 'day',
      })
      ids.push(wanted.client_order_id)
      const answer = await stage.venue.submit(wanted)
      expect([type, answer.kind]).toEqual([type, 'accepted'])
    }
    await cancelled(stage, ids)
  })
}

interface Heard {
  orders: { order: VenueOrder; execution: Execution | null }[]
  states: boolean[]
}

function streamTests(on: On): void {
  const streaming = ({ venue }: Stage) => venue.features.orderStream

  on(
    'the stream says when it hears, and tells what becomes of an order',
    async (stage) => {
      const { heard, stream } = listen(stage)
      try {
        await until('the stream to be up', async () => {
          await stage.pass(100)
          return heard.states.includes(true)
        })
        const wanted = order(stage)
        await sent(stage, wanted)
        const fills = () =>
          heard.orders.filter((one) => one.order.client_order_id === wanted.client_order_id && one.execution)
        await until('the fill to be told', async () => {
          await stage.pass(1_000)
          return fills().at(-1)?.order.status === 'filled'
        })
        const told = new Set(fills().map(({ execution }) => execution?.execution_id))
        const asked = await executionsOf(stage, 0, wanted.client_order_id)
        expect([...told].sort()).toEqual(asked.map(({ execution_id }) => execution_id).sort())
      } finally {
        await closing(stage, stream)
      }
    },
    streaming,
  )

  on(
    'a stream that was cut says so, and says when it hears again',
    async (stage) => {
      const { heard, stream } = listen(stage)
      const state = (up: boolean, count: number) =>
        until(`the stream to be ${up ? 'up' : 'down'}`, async () => {
          await stage.pass(1_000)
          return heard.states.filter((one) => one === up).length >= count
        })
      try {
        await state(true, 1)
        await stage.cutStream?.()
        await state(false, 1)
        await state(true, 2)
      } finally {
        await closing(stage, stream)
      }
    },
    (stage) => streaming(stage) && stage.cutStream !== undefined,
  )
}

function listen({ venue }: Stage) {
  const heard: Heard = { orders: [], states: [] }
  const stream = venue.stream({
    onOrder: (order, execution) => heard.orders.push({ order, execution }),
    onBar: () => {},
    onState: ({ up }) => heard.states.push(up),
  })
  if (stream === null) throw new Error('the venue says that it has a stream, and gives none')
  return { heard, stream }
}

async function closing(stage: Stage, stream: { close(): Promise<void> }): Promise<void> {
  let closed = false
  const end = stream.close().then(() => {
    closed = true
  })
  await until('the stream to close', async () => {
    await stage.pass(1_000)
    return closed
  })
  await end
}

function barTests(on: On): void {
  const timeframes: readonly Timeframe[] = ['1m', '5m', '1h']

  on('bars are closed, on the grid, in order and inside of what was asked for', async ({ venue, symbol }) => {
    const now = await venue.time()
    for (const timeframe of timeframes) {
      const step = TIMEFRAME_MS[timeframe]
      const bars = await venue.bars({ symbol, timeframe, start: now - 30 * step, end: now })
      expect(bars.length).toBeGreaterThan(0)
      const times = bars.map(({ time }) => time)
      expect(times).toEqual([...new Set(times)].sort((one, other) => one - other))
      for (const { time, open, high, low, close } of bars) {
        expect(time % step).toBe(0)
        expect(time).toBeGreaterThanOrEqual(now - 30 * step)
        expect(time + step).toBeLessThanOrEqual(now)
        expect(Number(high)).toBeGreaterThanOrEqual(Math.max(Number(open), Number(close)))
        expect(Number(low)).toBeLessThanOrEqual(Math.min(Number(open), Number(close)))
      }
    }
  })

  on('both ends of what was asked for are part of it', async ({ venue, symbol }) => {
    const end = Math.floor((await venue.time()) / 60_000) * 60_000 - 10 * 60_000
    const bars = await venue.bars({ symbol, timeframe: '1m', start: end - 120_000, end })
    expect(bars.map(({ time }) => time)).toEqual([end - 120_000, end - 60_000, end])
  })

  on('more bars than fit one page are all there', async ({ venue, symbol }) => {
    const end = Math.floor((await venue.time()) / 60_000) * 60_000 - 10 * 60_000
    const start = end - 12_000 * 60_000
    const ask = (from: number, to: number) => venue.bars({ symbol, timeframe: '1m', start: from, end: to })
    const bars = await ask(start, end)
    const middle = start + 6_000 * 60_000
    expect(bars).toEqual([...(await ask(start, middle)), ...(await ask(middle + 60_000, end))])
    if (symbol.includes('/')) expect(bars).toHaveLength(12_001)
  })

  on('a range without bars is empty, and what cannot be asked is an error of the venue', async ({ venue, symbol }) => {
    const now = await venue.time()
    expect(await venue.bars({ symbol, timeframe: '1m', start: now + 60_000, end: now + 120_000 })).toEqual([])
    expect(await venue.bars({ symbol, timeframe: '1m', start: now - 60_000, end: now - 120_000 })).toEqual([])
    const asked = venue.cancel({ exchange_order_id: '' }).catch((error: unknown) => error)
    const answer = await asked
    expect(answer === 'not_found' || answer instanceof VenueError).toBe(true)
  })
}
