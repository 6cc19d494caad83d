/** What of a run's limits a replay remembers, order by order, and what else an account tells of fees. */
import { expect, test } from 'vitest'
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import type { FeeAdjustment } from '../../db/walle/queries/parity.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { PlaceIntent } from '../../strategies/api.ts'
import type { RiskLimits } from '../glados/risk.ts'
import { compareKept } from './booked.ts'
import { type Circumstances, createOrderBook, type OrderStory } from './orders.ts'
import type { Found } from './parity.ts'

const T0 = Date.UTC(2025, 0, 6)
const S = 'BTC/USD'

function intent(client_order_id: string): PlaceIntent {
  return {
    ...{ kind: 'place', client_order_id, symbol: S, side: 'buy', order_type: 'market', qty: '1', limit_price: null },
    ...{ stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc', extended_hours: false },
    ...{ take_profit: null, stop_loss: null, reason: null },
  } as PlaceIntent
}

/** A run with such limits, whose account is worth 1000 and then what is told of. */
function bookOf(risk: RiskLimits) {
  const found: Found[] = []
  const run = { id: 'r', symbols: [S], initial_cash: '1000', risk, own_risk: risk } as unknown as RunRow
  const book = createOrderBook(run, (one) => found.push(one))
  let place = 0
  let cash = '1000'
  const now = () => ({
    account: { cash, positions: [], orders: [], splits: [] },
    newest: { [S]: { time: T0, close: 100 } },
  })
  const tell = (event: object) => {
    place += 1
    book.apply({ ts: new Date(T0 + place).toISOString(), ...event } as OrderEvent, place, now)
  }
  return {
    book,
    marked(worth: string) {
      cash = worth
      book.marked(T0 + 60_000, now)
    },
    /** Without anybody's decision. */
    made(id: string) {
      const { kind: _, limit_price: price, ...fields } = intent(id)
      const made = { ...fields, price, order_id: id, ordinal: 0, parent_order_id: null, bar_index: null, placed_at: '' }
      tell({ id: `${id} created`, type: 'orders.Created', payload: made })
    },
    placed(id: string, refusedBecause: string | null = null) {
      const asked = intent(id)
      book.decided([asked], { bar_index: 0, ts: T0, place })
      const { kind: _, limit_price: price, ...fields } = asked
      const made = { ...fields, price, order_id: id, ordinal: 0, parent_order_id: null, bar_index: 0, placed_at: '' }
      tell({ id: `${id} created`, type: 'orders.Created', payload: made })
      const reason = { order_id: id, client_order_id: id, reason: refusedBecause, rule: null, detail: null }
      if (refusedBecause !== null) tell({ type: 'orders.Rejected', causation_id: `${id} created`, payload: reason })
      return book.stories().find((story) => story.client_order_id === id)?.refusal?.rule ?? null
    },
    kinds: () => found.map(({ what }) => what),
  }
}

test('an order that was refused as it was made does not count among those of the minute', () => {
  const { placed, kinds } = bookOf({ max_orders_per_minute: 1 })
  expect([placed('a', 'short_not_allowed'), placed('b'), placed('c')]).toEqual([null, null, 'max_orders_per_minute'])
  expect(kinds()).toEqual([])
})

test('after a loss no order opens, until somebody lets the run go on', () => {
  const { book, placed, marked } = bookOf({ max_drawdown: 0.1 })
  expect(placed('a')).toBeNull()
  marked('800')
  expect(placed('b', 'halt')).toBe('max_drawdown')
  book.resumed()
  expect(placed('c')).toBeNull()
})

test('fees that were kept otherwise are told where the run alone bought, are noted where another did, and are no news before', () => {
  const bought = { fills: [{ place: 5, event: { payload: { side: 'buy', symbol: S } } }] } as unknown as OrderStory
  const kept = (place: number, shared: boolean): FeeAdjustment => ({
    place,
    ts: 'then',
    symbol: S,
    detail: 'less',
    shared,
  })
  const found: Found[] = []
  const notes = compareKept([bought], [kept(4, false), kept(6, true), kept(7, false)], (one) => found.push(one))
  expect(found.map(({ class: name, what, place }) => [name, what, place])).toEqual([['cost', 'kept', 7]])
  expect(notes).toEqual([`${S}, which another run of the account bought as well, at then: less`])
})

/** Sells so much of 0.09975, of which the venue was sent `placed`. */
function differences(asked: string, placed: string, held = '0.09975'): string[] {
  const found: string[] = []
  const run = { symbols: [S], initial_cash: '1000', risk: {}, own_risk: {}, fill: {} } as unknown as RunRow
  const book = createOrderBook(run, ({ recorded }) => void found.push(String(recorded)))
  const words = { client_order_id: 'w', symbol: S, side: 'sell', order_type: 'market', reason: null } as const
  const none = { stop_price: null, trail_price: null, trail_percent: null, take_profit: null, stop_loss: null }
  const rest = { ...words, ...none, time_in_force: 'gtc', extended_hours: false } as const
  const intent: PlaceIntent = { kind: 'place', ...rest, qty: asked, limit_price: null }
  book.decided([intent], { bar_index: 0, ts: 0, place: 0 })
  const event = {
    type: 'orders.Created',
    ts: '2026-01-02T00:00:00.000Z',
    payload: {
      ...rest,
      ...{ order_id: 'o', ordinal: 0, qty: placed, price: null, parent_order_id: null, bar_index: 0 },
      placed_at: '2026-01-02T00:00:00.000Z',
    },
  } as unknown as OrderEvent
  const positions = [{ symbol: S, qty: held }]
  const circumstances = { account: { cash: '0', positions, orders: [] }, newest: { [S]: { time: 0, close: 100 } } }
  book.apply(event, 1, () => circumstances as unknown as Circumstances)
  return found
}

test('what was made to fit its venue is no difference, any other quantity is', () => {
  expect(differences('0.09975', '0.0997')).toEqual([])
  expect(differences('0.04975', '0.0497')).toEqual([])
  expect(differences('0.09975', '0.09')).toEqual([])
  expect(differences('0.09975', '0.0996')).toEqual(['qty 0.0996'])
  expect(differences('0.05', '0.04', '0.1')).toEqual(['qty 0.04'])
  expect(differences('0.09975', '0.09975')).toEqual([])
})

test('what a person closed is told as theirs, and not as what nobody asked for', () => {
  const { made, kinds } = bookOf({})
  made('w-1-close-1700000000000-0')
  made('w-1-7-0')
  expect(kinds()).toEqual(['by_hand', 'unasked'])
})

test('limits that changed while the run went on hold from then on', () => {
  const { book, placed } = bookOf({ max_position: 1 })
  book.limited({ max_position: 0.5 })
  expect(placed('a')).toBe('max_position')
  book.limited({ max_position: 1 })
  expect(placed('b')).toBeNull()
})
