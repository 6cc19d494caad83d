/** History of exchanges, fetched by a job. */
import { createRoute, z } from '@hono/zod-openapi'
import { type CandleFetchView, getCandleFetch, listCandleFetches } from '../../db/walle/queries/market.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { candleFetch } from '../schemas/market.ts'
import { answers, limited, name, params, timeframe, timeIn } from '../schemas/values.ts'

const tags = ['candles']
const MOST_LISTED = 100

const begun = (zone: string) =>
  createRoute({
    method: 'post',
    path: '/candles/fetch',
    tags,
    summary: 'Fetch candles from an exchange; the same range again while it is fetched gives the same fetch',
    request: {
      body: {
        required: true,
        content: {
          'application/json': {
            schema: z.strictObject({
              exchange: name.optional(),
              symbol: name,
              timeframe,
              start: timeIn(zone),
              end: timeIn(zone).optional(),
              adjustment: z.enum(['raw', 'split', 'all']).optional(),
            }),
          },
        },
      },
    },
    responses: answers(201, candleFetch, 'It goes on by itself; read it to see how far it is'),
  })

const listed = createRoute({
  method: 'get',
  path: '/candles/fetch',
  tags,
  summary: 'Fetches of candles, the newest first',
  request: { query: z.object({ limit: limited(20, MOST_LISTED) }) },
  responses: answers(200, z.object({ items: z.array(candleFetch) }), 'Fetches'),
})

const read = createRoute({
  method: 'get',
  path: '/candles/fetch/{id}',
  tags,
  summary: 'A fetch of candles',
  request: { params },
  responses: answers(200, candleFetch, 'The fetch'),
})

const cancelled = createRoute({
  method: 'post',
  path: '/candles/fetch/{id}/cancel',
  tags,
  summary: 'Stop a fetch of candles; what is stored stays',
  request: { params },
  responses: answers(200, candleFetch, 'The fetch'),
})

export function candleFetchRoutes(deps: ApiDependencies): ApiRouter {
  const { reader } = deps.db
  const router = createRouter()
  router.openapi(begun(deps.config.timezone), async (c) =>
    c.json(fetchJson(await deps.commands.fetchCandles(c.req.valid('json'))), 201),
  )
  router.openapi(listed, async (c) => {
    const items = await listCandleFetches(reader, c.req.valid('query').limit)
    return c.json({ items: items.map(fetchJson) }, 200)
  })
  router.openapi(read, async (c) => {
    const { id } = c.req.valid('param')
    const found = await getCandleFetch(reader, id)
    if (found === null) throw notFound('fetch of candles', id)
    return c.json(fetchJson(found), 200)
  })
  router.openapi(cancelled, async (c) =>
    c.json(fetchJson(await deps.commands.cancelCandleFetch(c.req.valid('param').id)), 200),
  )
  return router
}

function fetchJson({ mode: _mode, ...row }: CandleFetchView) {
  const [start, end, next] = [row.start_time, row.end_time, row.next_time].map((time) => Date.parse(time)) as [
    number,
    number,
    number,
  ]
  const progress = row.status === 'completed' ? 1 : Math.min(1, Math.max(0, (next - start) / Math.max(1, end - start)))
  return { ...row, progress }
}
