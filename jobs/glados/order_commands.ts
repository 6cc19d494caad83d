/** What a person may ask of one order: to be cancelled. It goes the way of a strategy's wish, and the venue has the last word. */
import { isOpen } from '../../db/events/order_state.ts'
import { getOrderSend } from '../../db/walle/queries/live_orders.ts'
import { getOrder } from '../../db/walle/queries/orders.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import type { CommandContext, CommandDependencies } from './commands.ts'
import { DomainError } from './errors.ts'

type OrderCommandDependencies = Pick<CommandDependencies, 'recorder' | 'now' | 'newId'>

export function createOrderCommands(deps: OrderCommandDependencies) {
  return {
    cancelOrder: (id: string, by: string, context: CommandContext) => cancelOrder(deps, id, by, context),
  }
}

export type OrderCommands = ReturnType<typeof createOrderCommands>

/** The order as it was; one that is to be cancelled already stays so. Also an exit that a run left behind, and during a halt. */
function cancelOrder(
  { recorder, now, newId }: OrderCommandDependencies,
  id: string,
  by: string,
  { corrId }: CommandContext,
): Promise<OrderRow> {
  return recorder(async (reader) => {
    const known = await getOrder(reader, id)
    const run = known && (await lockRun(reader, known.run_id))
    const order = run && (await getOrder(reader, id))
    if (!run || !order) throw new DomainError('NOT_FOUND', `there is no order ${id}`)
    if (run.mode === 'backtest') {
      throw new DomainError('INVALID_RUN_MODE', 'orders of a backtest are simulated: nobody can cancel one by hand')
    }
    if (!isOpen(order.status)) {
      throw new DomainError('CONFLICT', `order ${id} is ${order.status}: there is nothing left to cancel`, { id })
    }
    const send = await getOrderSend(reader, id)
    if (send?.cancel_requested_at) return { outcome: { writes: [], events: [] }, result: order }
    const payload = { client_order_id: order.client_order_id, by }
    return {
      outcome: {
        writes: [],
        events: [
          {
            ...{ id: newId(), type: 'live.CancelOrder', run_id: run.id, corr_id: corrId, causation_id: null },
            ...{ ts: new Date(now()).toISOString(), producer: 'glados', payload },
          },
        ],
      },
      result: order,
    }
  })
}
