/** A venue whose answers are written down, as an account's keeper is given it. */
import { randomUUID } from 'node:crypto'
import type { Database } from '../../db/database.ts'
import type { OrderSendRow } from '../../db/walle/live_rows.ts'
import { record } from '../../db/walle/record.ts'
import type { OrderRow, RunRow } from '../../db/walle/rows.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import type { Live } from '../../jobs/live/live.ts'
import { createScriptedVenue, type ScriptedVenue, type ScriptedVenueOptions } from './scripted_venue.ts'
import { anOrder } from './walle_rows.ts'

export const NAME = { exchange: 'scripted', mode: 'paper' } as const

/** Its stream is acknowledged as soon as it is open, unless the test wants to do that. */
export function aVenue(options: ScriptedVenueOptions & { acknowledges?: boolean } = {}): ScriptedVenue {
  const venue = createScriptedVenue(options)
  const { stream } = venue
  venue.stream = (handlers) => {
    const opened = stream(handlers)
    if (options.acknowledges !== false) queueMicrotask(() => handlers.onState({ up: true, reason: 'subscribed' }))
    return opened
  }
  return venue
}

export function liveWith(venue: ScriptedVenue, on: Database): Live {
  return {
    db: on,
    record: async (tx, outcome) => {
      await record(tx, outcome)
    },
    venues: {
      get: async () => venue,
      configured: () => [NAME],
      known: () => [],
      close: async () => {},
    },
    hop: () => Promise.reject(new Error('no strategy speaks here')),
    isHalted: async () => false,
    ...wallClock,
    log: () => {},
  }
}

/** It has the order, whatever became of the answer. */
export async function atVenue(venue: ScriptedVenue, order: OrderRow): Promise<void> {
  await venue.submit({
    client_order_id: order.client_order_id,
    symbol: order.symbol,
    side: order.side,
    order_type: order.order_type,
    qty: order.qty,
    limit_price: order.price,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: order.time_in_force,
    extended_hours: false,
  })
}

/** An order as it is when its send has been committed: whether the venue has it is another matter. */
export async function sentOrder(
  db: Database,
  run: RunRow,
  ordinal: number,
  changes: Partial<OrderRow> = {},
): Promise<OrderRow> {
  const order = anOrder(run.id, ordinal, {
    id: randomUUID(),
    client_order_id: `c${ordinal}`,
    ...{ qty: '10', price: '100', take_profit: null, stop_loss: null, status: 'submitted', ...changes },
  })
  const send: OrderSendRow = {
    order_id: order.id,
    run_id: run.id,
    ...NAME,
    wanted_at: new Date().toISOString(),
    state: order.exchange_order_id === null ? 'sent' : 'answered',
    attempts: 1,
    lookups: 0,
    last_sent_at: new Date().toISOString(),
    last_error: null,
    cancel_requested_at: null,
    cancel_reason: null,
    decided_close: null,
    refusals: 0,
    at_market: false,
    qty_increment: null,
    replaced_ids: [],
    filled_before: '0',
    cancel_attempts: 0,
  }
  await db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'insert_orders', rows: [order] },
        { kind: 'save_order_sends', rows: [send] },
      ],
      events: [],
    }),
  )
  return order
}
