import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SimOrderRow } from '../../../../db/sim_venue.ts'
import { sessionOfDay } from '../../../../db/walle/calendar/calendar.ts'
import { createMarket, priceText } from './market.ts'
import { type Match, testOrder } from './matching.ts'

const SETTINGS = { seed: 3, spread_bps: 2, depth: 50_000 }
const market = createMarket(SETTINGS, 'SIM/USD')
const START = Date.UTC(2026, 2, 2, 15)
const second = START / 1000
const mid = market.mid(second)
const at = (share: number) => priceText(Math.round(mid * share))

function order(given: Partial<SimOrderRow> = {}): SimOrderRow {
  return {
    exchange_order_id: 'o',
    client_order_id: 'c',
    symbol: 'SIM/USD',
    side: 'buy',
    order_type: 'market',
    qty: '1',
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    status: 'accepted',
    filled_qty: '0',
    filled_notional: '0',
    fee: '0',
    fee_qty: '0',
    reject_reason: null,
    tested_to: second - 1,
    triggered: false,
    best_price: null,
    submitted_at: new Date(START).toISOString(),
    changed_at: new Date(START).toISOString(),
    ...given,
  }
}

/** Looks at the order at each moment, as whoever keeps the book does. */
function look(given: SimOrderRow, moments: readonly number[], on = market) {
  const row = { ...given }
  const fills: Match[] = []
  for (const to of moments) {
    const tested = testOrder(row, on, to, false)
    fills.push(...tested.fills)
    const filled = tested.fills.reduce((sum, { qty }) => sum + Number(qty), Number(row.filled_qty))
    Object.assign(row, {
      filled_qty: String(Number(filled.toFixed(9))),
      triggered: tested.triggered,
      best_price: tested.best_price,
      tested_to: tested.tested_to,
    })
    if (tested.ended) return { fills, ended: tested.ended }
  }
  return { fills, ended: null }
}

describe('an order', () => {
  test('meets the same fate whoever looks when', () => {
    const type = fc.constantFrom('market', 'limit', 'stop', 'stop_limit', 'trailing_stop')
    const made = fc.record({
      type,
      buy: fc.boolean(),
      off: fc.integer({ min: -40, max: 40 }),
      qty: fc.integer({ min: 1, max: 900 }),
    })
    const moments = fc.uniqueArray(fc.integer({ min: 0, max: 5_400 }), { maxLength: 12 })
    fc.assert(
      fc.property(made, moments, ({ type, buy, off, qty }, looks) => {
        const price = at(1 + off / 10_000)
        const given = order({
          order_type: type as SimOrderRow['order_type'],
          side: buy ? 'buy' : 'sell',
          qty: String(qty),
          limit_price: type.endsWith('limit') ? price : null,
          stop_price: type.startsWith('stop') ? at(1 - off / 10_000) : null,
          trail_percent: type === 'trailing_stop' ? '0.1' : null,
        })
        const end = second + 5_400
        const often = [...looks].sort((one, other) => one - other).map((after) => second + after)
        expect(look(given, [...often, end])).toEqual(look(given, [end]))
      }),
      { numRuns: 150 },
    )
  })

  test('at market takes the side of the quote that is against it', () => {
    const { bid, ask } = market.quote(second)
    expect(look(order(), [second]).fills).toEqual([{ second, qty: '1', price: priceText(ask) }])
    expect(look(order({ side: 'sell' }), [second]).fills).toEqual([{ second, qty: '1', price: priceText(bid) }])
  })

  test('that is too big takes what there is, second by second', () => {
    const { fills, ended } = look(order({ qty: '2000' }), [second + 600])
    expect(fills.length).toBeGreaterThan(5)
    expect(fills.map((fill) => fill.second)).toEqual(fills.map((_, index) => second + index))
    expect(ended).toEqual({ status: 'filled', second: fills.at(-1)?.second })
    for (const { qty, price, second } of fills.slice(0, -1)) {
      expect(Number(qty) * Number(price) * 100).toBeCloseTo(market.depth(second), 2)
    }
  })

  test('with a limit never fills at a worse price, and waits for it', () => {
    for (const side of ['buy', 'sell'] as const) {
      const limit = at(side === 'buy' ? 0.9995 : 1.0005)
      const { fills, ended } = look(order({ side, order_type: 'limit', limit_price: limit }), [second + 86_400])
      expect(ended?.status).toBe('filled')
      expect(fills.map(({ price }) => price)).toEqual([limit])
      const touch = market.quote(fills[0]?.second as number)
      expect(side === 'buy' ? touch.ask <= Number(limit) * 100 : touch.bid >= Number(limit) * 100).toBe(true)
    }
  })

  test('with a stop waits for it, and then takes what it gets', () => {
    const stop = at(1.0005)
    const { fills } = look(order({ order_type: 'stop', stop_price: stop }), [second + 86_400])
    const hit = fills[0]?.second as number
    expect(market.mid(hit)).toBeGreaterThanOrEqual(Number(stop) * 100)
    for (let before = second; before < hit; before++) expect(market.mid(before)).toBeLessThan(Number(stop) * 100)
    expect(fills[0]?.price).toBe(priceText(market.quote(hit).ask))
  })

  test('that trails sells where the price has come back by its distance', () => {
    const given = order({ side: 'sell', order_type: 'trailing_stop', trail_percent: '0.2' })
    const { fills } = look(given, [second + 86_400])
    const hit = fills[0]?.second as number
    let best = 0
    for (let each = second; each < hit; each++) {
      best = Math.max(best, market.mid(each))
      expect(market.mid(each)).toBeGreaterThan(Math.floor(best * 0.998))
    }
    expect(market.mid(hit)).toBeLessThanOrEqual(Math.floor(Math.max(best, market.mid(hit)) * 0.998))
  })

  test('that is immediate takes what is there and leaves the rest; all or nothing takes nothing', () => {
    const part = look(order({ qty: '2000', time_in_force: 'ioc' }), [second + 5])
    expect(part.fills).toHaveLength(1)
    expect(part.ended).toEqual({ status: 'cancelled', second })
    expect(look(order({ qty: '2000', time_in_force: 'fok' }), [second + 5])).toEqual({
      fills: [],
      ended: { status: 'cancelled', second },
    })
    expect(look(order({ time_in_force: 'fok' }), [second + 5]).ended?.status).toBe('filled')
  })

  test('waits while its symbol is halted, and a day order ends all the same', () => {
    const halted = testOrder(order(), market, second + 60, true)
    expect(halted).toMatchObject({ fills: [], ended: null, tested_to: second + 60 })
    const midnight = Date.UTC(2026, 2, 3) / 1000
    expect(testOrder(order({ time_in_force: 'day' }), market, midnight, true).ended).toEqual({
      status: 'expired',
      second: midnight,
    })
  })
})

describe('an order in equities', () => {
  const equity = createMarket(SETTINGS, 'SIM')
  const evening = Date.UTC(2026, 2, 6, 23)
  const monday = sessionOfDay(Date.UTC(2026, 2, 9))
  if (monday === null || monday === 'outside') throw new Error('no session')
  const sent = (given: Partial<SimOrderRow>) =>
    order({
      symbol: 'SIM',
      submitted_at: new Date(evening).toISOString(),
      tested_to: evening / 1000 - 1,
      ...given,
    })
  const later = monday.close / 1000 + 3_600

  test('waits over the weekend for the session to open', () => {
    expect(look(sent({}), [later], equity).fills.map((fill) => fill.second)).toEqual([monday.open / 1000])
    expect(look(sent({ time_in_force: 'ioc' }), [later], equity).ended?.status).toBe('cancelled')
  })

  test('of the day expires with the session', () => {
    const given = sent({ order_type: 'limit', limit_price: '1', time_in_force: 'day' })
    expect(look(given, [monday.close / 1000 - 1], equity).ended).toBeNull()
    expect(look(given, [later], equity)).toEqual({
      fills: [],
      ended: { status: 'expired', second: monday.close / 1000 },
    })
  })

  test('for an auction has its price, whatever its size, or ends there', () => {
    const first = monday.open / 1000
    const last = monday.close / 1000 - 1
    const fill = (at: number) => [{ second: at, qty: '5000', price: priceText(equity.mid(at)) }]
    expect(look(sent({ qty: '5000', time_in_force: 'opg' }), [later], equity).fills).toEqual(fill(first))
    expect(look(sent({ qty: '5000', time_in_force: 'cls' }), [later], equity).fills).toEqual(fill(last))
    const cheap = { order_type: 'limit', limit_price: '1' } as const
    expect(look(sent({ ...cheap, time_in_force: 'opg' }), [later], equity)).toEqual({
      fills: [],
      ended: { status: 'expired', second: first + 1 },
    })
  })
})
