import type { OrderStatus } from '../../../strategies/api.ts'
import type { Reader } from '../../database.ts'
import { ORDERS, selectList } from '../columns.ts'
import type { OrderRow } from '../rows.ts'
import { isUuid, listPage, type Page, type Paging } from './page.ts'

export async function getOrder(reader: Reader, id: string): Promise<OrderRow | null> {
  if (!isUuid(id)) return null
  const [order] = await reader.query<OrderRow>(`select ${selectList(ORDERS)} from weaver.orders where id = $1`, [id])
  return order ?? null
}

/** The run's orders that may still fill, oldest first. */
export function listOpenOrders(reader: Reader, runId: string): Promise<OrderRow[]> {
  return reader.query<OrderRow>(
    `select ${selectList(ORDERS)} from weaver.orders
     where run_id = $1 and status in ('pending', 'submitted', 'accepted', 'partial') order by ordinal`,
    [runId],
  )
}

export function listRunOrdersByClientId(reader: Reader, runId: string, ids: readonly string[]): Promise<OrderRow[]> {
  return reader.query<OrderRow>(
    `select ${selectList(ORDERS)} from weaver.orders where run_id = $1 and client_order_id = any ($2::text[]) order by ordinal`,
    [runId, ids],
  )
}

export interface OrderFilter {
  run_id?: string | undefined
  status?: OrderStatus | undefined
  /** Whether it may still fill. */
  open?: boolean | undefined
  symbol?: string | undefined
  /** Bounds of the tick at which an order was placed, ISO 8601; both belong to the range. */
  start_time?: string | undefined
  end_time?: string | undefined
}

/** Newest first. */
export async function listOrders(reader: Reader, query: OrderFilter & Paging): Promise<Page<OrderRow>> {
  const { run_id, page, page_size } = query
  if (run_id !== undefined && !isUuid(run_id)) return { items: [], total: 0, total_is_estimate: false }
  return listPage<OrderRow>(reader, {
    table: ORDERS,
    filters: [
      ['run_id = ?', run_id],
      ['status = ?', query.status],
      ["(status in ('pending', 'submitted', 'accepted', 'partial')) = ?::boolean", query.open?.toString()],
      ['symbol = ?', query.symbol],
      ['placed_at >= ?', query.start_time],
      ['placed_at <= ?', query.end_time],
    ],
    // Within a run both orders are the same, and this one has an index that starts with the run.
    orderBy: run_id === undefined ? 'created_at desc, id' : 'ordinal desc',
    page,
    page_size,
  })
}
