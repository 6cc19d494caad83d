/** `weaver close`: gets out of what a run holds, and waits until it is out, or nothing more is to be expected soon. */

import { livePools } from '../../db/events/leases.ts'
import { isOpen } from '../../db/events/order_state.ts'
import { getPosition } from '../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../db/walle/queries/orders.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import type { ClosingOrder } from '../glados/close_commands.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { System } from '../system.ts'
import { watch } from './backtest.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface CloseCommandOptions {
  symbol?: string
}

/** Longer than what is in the way, and the exits, are waited for. */
const LONGEST_MS = 120_000

export async function closeCommand(context: CliContext, id: string, { symbol }: CloseCommandOptions): Promise<number> {
  return withSystem(context, 'close', async (system) => {
    if ((await livePools(system.db)) === 0) {
      throw new CliError('no worker runs, and orders leave only while one keeps the account: start Weaver first')
    }
    const control = await openControl(system, { workers: false })
    try {
      const request = { symbol, by: 'a person, by weaver close' }
      const { items, refused } = await control.commands.closePositions(id, request, { corrId: wallClock.newId() })
      for (const { reason } of refused) context.note(`not closed: ${reason}`)
      for (const item of items) context.note(asked(item))
      const ends = await untilOver(system, id, items, control.failed)
      for (const { said } of ends) context.print(said)
      return refused.length === 0 && ends.every(({ closed }) => closed) ? 0 : 1
    } finally {
      await control.close()
    }
  })
}

function asked({ side, qty, symbol, already, waits_for }: ClosingOrder): string {
  const what = already ? `${side} ${qty} ${symbol} is on its way already` : `${side} ${qty} ${symbol} is on its way`
  return waits_for === null ? what : `${what}; it waits for ${waits_for}`
}

interface Ended {
  said: string
  closed: boolean
}

function untilOver(
  { db }: System,
  runId: string,
  items: readonly ClosingOrder[],
  failed: Promise<Error>,
): Promise<Ended[]> {
  const began = wallClock.now()
  return watch('close', failed, async () => {
    const late = wallClock.now() - began >= LONGEST_MS
    const ends: Ended[] = []
    for (const item of items) {
      const [order, position] = await Promise.all([
        getOrder(db.reader, item.order_id),
        getPosition(db.reader, runId, item.symbol),
      ])
      const end = endOf(item, order, position?.qty ?? '0', late)
      if (end === null) return null
      ends.push(end)
    }
    return ends
  })
}

/** Null: it is worth waiting for. `order` null: not on record yet. */
export function endOf(item: ClosingOrder, order: OrderRow | null, held: string, late: boolean): Ended | null {
  const { side, symbol, order_id, waits_for } = item
  const trace = `\`weaver trace ${order_id}\` tells what becomes of it`
  const left = new Decimal(held)
  const still = left.eq(ZERO) ? 'nothing is held any more' : `${held} ${symbol} is held still`
  if (order === null) {
    const why = waits_for === null ? 'no worker has taken it up' : `it waits for ${waits_for}`
    return late ? { said: `${symbol}: not placed yet, ${why}; ${trace}`, closed: false } : null
  }
  if (isOpen(order.status)) {
    // At its exchange there is nothing to watch before the market opens.
    if (!late && (waits_for === null || order.status !== 'accepted')) return null
    const why = waits_for === null ? '' : `, and waits for ${waits_for}`
    return { said: `${symbol}: ${side} ${order.qty} is ${order.status}${why}; ${trace}`, closed: false }
  }
  if (order.status !== 'filled') {
    const why = order.reject_reason === null ? '' : `: ${order.reject_reason}`
    return { said: `${symbol}: ${side} ${order.qty} is ${order.status}${why}; ${still}`, closed: left.eq(ZERO) }
  }
  const at = `${side} ${order.filled_qty} at ${order.filled_avg_price}`
  // Less than a step of the exchange may be left, and its strategy may have entered again.
  return { said: `${symbol}: ${at}; ${still}`, closed: true }
}
