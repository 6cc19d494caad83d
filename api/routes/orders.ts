import { createRoute, z } from '@hono/zod-openapi'
import { getOrder, listOrders } from '../../db/walle/queries/orders.ts'
import type { OrderRow } from '../../db/walle/rows.ts'
import { ORDER_STATUSES } from '../../strategies/api.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { order, orderTrace } from '../schemas/orders.ts'
import { answers, name, pageOf, paging, params, timeIn } from '../schemas/values.ts'
import { pageJson } from './results.ts'

const tags = ['orders']

const listed = (zone: string) =>
  createRoute({
    method: 'get',
    path: '/orders',
    tags,
    summary: 'Orders, newest first',
    request: {
      query: z.object({
        run_id: name.optional(),
        status: z.enum(ORDER_STATUSES).optional(),
        open: z
          .stringbool()
          .optional()
          .openapi({ description: 'Only orders that may still fill, or only the others.' }),
        symbol: name.optional(),
        start_time: timeIn(zone).optional(),
        end_time: timeIn(zone).optional(),
        ...paging({ page_size: 50, most: 100 }),
      }),
    },
    responses: answers(200, pageOf(order), 'A page of orders'),
  })

const read = createRoute({
  method: 'get',
  path: '/orders/{id}',
  tags,
  summary: 'An order',
  request: { params },
  responses: answers(200, order, 'The order'),
})

const traced = createRoute({
  method: 'get',
  path: '/orders/{id}/trace',
  tags,
  summary: 'How an order came about and what became of it, hop by hop; by id or client_order_id',
  request: { params: z.object({ id: name.openapi({ param: { name: 'id', in: 'path' } }) }) },
  responses: answers(200, orderTrace, 'From the tick to the last fill'),
})

const cancelled = createRoute({
  method: 'post',
  path: '/orders/{id}/cancel',
  tags,
  summary: 'Cancel an order of a paper or live run; the exchange has the last word, and a fill may come first',
  request: { params },
  responses: answers(200, order, 'The order, as it was when the cancel was asked for'),
})

/** Who asks, for the record. */
export const BY = 'a person, by the API'

export function orderRoutes({ db: { reader }, commands, config, trace }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(listed(config.timezone), async (c) => {
    const query = c.req.valid('query')
    const { items, ...counted } = await listOrders(reader, query)
    return c.json(pageJson({ items: items.map(orderJson), ...counted }, query), 200)
  })
  router.openapi(read, async (c) => {
    const { id } = c.req.valid('param')
    const found = await getOrder(reader, id)
    if (!found) throw notFound('order', id)
    return c.json(orderJson(found), 200)
  })
  router.openapi(cancelled, async (c) => {
    const asked = await commands.cancelOrder(c.req.valid('param').id, BY, { corrId: c.var.corrId })
    return c.json(orderJson(asked), 200)
  })
  router.openapi(traced, async (c) => {
    const { order: found, ...chain } = await trace(c.req.valid('param').id)
    return c.json({ order: orderJson(found), ...chain }, 200)
  })
  return router
}

/** Times of an order are the run's, so `created_at` is the tick that placed it and not the wall's. */
function orderJson({ last_event_id, placed_at, ...shown }: OrderRow) {
  return { ...shown, created_at: placed_at }
}
