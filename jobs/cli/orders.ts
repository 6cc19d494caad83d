import { livePools } from '../../db/events/leases.ts'
import { listOrders } from '../../db/walle/queries/orders.ts'
import { createRecorder } from '../../db/walle/record.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import type { OrderStatus } from '../../strategies/api.ts'
import { wallClock } from '../glados/clock.ts'
import { createOrderCommands } from '../glados/order_commands.ts'
import { type CliContext, readLimit, withSystem } from './context.ts'

export interface OrdersOptions {
  run?: string
  status?: OrderStatus
  symbol?: string
  limit: string
  json: boolean
}

export async function ordersCommand(context: CliContext, options: OrdersOptions): Promise<number> {
  const page_size = readLimit(options.limit)
  return withSystem(context, 'orders', async ({ db }) => {
    const { run: run_id, status, symbol } = options
    const { items, total } = await listOrders(db.reader, { run_id, status, symbol, page: 1, page_size })
    if (options.json) context.print(JSON.stringify({ items, total }))
    else if (items.length === 0) context.print('There are no such orders.')
    else for (const order of items) context.print(line(order))
    return 0
  })
}

/** Workers send it. */
export async function cancelOrderCommand(context: CliContext, id: string): Promise<number> {
  return withSystem(context, 'cancel', async ({ db }) => {
    const commands = createOrderCommands({ recorder: createRecorder(db), ...wallClock })
    const order = await commands.cancelOrder(id, 'a person, by weaver cancel', { corrId: wallClock.newId() })
    const { side, qty, symbol } = order
    const sent = (await livePools(db)) > 0 ? '' : '; no worker is at work: it is sent when one starts'
    context.print(
      `The cancel of ${side} ${qty} ${symbol} is on its way${sent}. \`weaver trace ${id}\` tells what became of it.`,
    )
    return 0
  })
}

function line(order: OrderRow): string {
  const price = order.price ?? order.stop_price
  const filled = order.filled_avg_price === null ? '' : `filled ${order.filled_qty} at ${order.filled_avg_price}`
  return [
    order.id,
    order.placed_at,
    order.status.padEnd(9),
    order.side.padEnd(4),
    order.qty,
    order.symbol,
    price === null ? order.order_type : `${order.order_type} ${price}`,
    filled,
    order.reject_reason ?? '',
  ]
    .filter((part) => part !== '')
    .join('  ')
}
