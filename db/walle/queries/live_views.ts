/** Orders as the strategy of a paper or live run is shown them. */
import type { Reader } from '../../database.ts'
import { ORDERS, selectList } from '../columns.ts'
import type { OrderRow } from '../rows.ts'

/** An order, and the id by which its strategy knows the entry that it belongs to. */
export type OrderWithParent = OrderRow & { parent_client_order_id: string | null }

const WITH_PARENT = `select ${selectList(ORDERS, 'o')}, p.client_order_id as parent_client_order_id
  from weaver.orders o left join weaver.orders p on p.id = o.parent_order_id`

/** Those that may still fill or are on their way to the venue, oldest first. */
export function listOpenWithParents(reader: Reader, runId: string): Promise<OrderWithParent[]> {
  return reader.query<OrderWithParent>(
    `${WITH_PARENT} where o.run_id = $1 and o.status in ('pending', 'submitted', 'accepted', 'partial') order by o.ordinal`,
    [runId],
  )
}

export async function getOrderWithParent(reader: Reader, id: string): Promise<OrderWithParent | null> {
  const [order] = await reader.query<OrderWithParent>(`${WITH_PARENT} where o.id = $1`, [id])
  return order ?? null
}
