import { createRoute, z } from '@hono/zod-openapi'
import { DomainError } from '../../jobs/glados/errors.ts'
import { type Feed, type FeedFilter, namesOf, START } from '../event_feed.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { tail } from '../schemas/system.ts'
import { answers, id, limited } from '../schemas/values.ts'
import type { SseHub } from '../sse.ts'

const tags = ['events']

const filter = {
  run_id: z.string().optional().openapi({ description: 'Only of this run; ticks and orders of backtests need it.' }),
  types: z.string().optional().openapi({ description: 'Names, separated by commas.', example: 'run.completed,tick' }),
}

/** Empty is as good as none: event 0 comes first. */
const place = z
  .string()
  .regex(/^(-1|\d{1,15})?$/, 'is no place in the log: give `next` of the last answer')
  .default('')
  .transform((text) => (text === '' ? START : Number(text)))
  .openapi({ type: 'integer', description: 'The `seq` after which to go on; without it from the start.', example: 41 })

const streamed = createRoute({
  method: 'get',
  path: '/events/stream',
  tags,
  summary: 'Server-sent events; resumes from the header Last-Event-ID, or from `after`',
  request: { query: z.object({ ...filter, after: z.string().optional() }) },
  responses: {
    200: { description: 'Ids and states; the rest by REST', content: { 'text/event-stream': { schema: z.string() } } },
  },
})

const polled = createRoute({
  method: 'get',
  path: '/events/tail',
  tags,
  summary: 'The same events by polling: give `next` as `after`',
  request: {
    query: z.object({
      ...filter,
      after: place,
      limit: limited(100, 1_000),
    }),
  },
  responses: answers(200, tail, 'Events in their order'),
})

export function eventRoutes(feed: Feed, hub: SseHub): ApiRouter {
  const router = createRouter()
  router.openapi(streamed, async (c) => {
    const query = c.req.valid('query')
    const stream = await hub.open({
      filter: filterOf(query),
      // A browser that reconnects by itself still has the first address, with an older `after`.
      after: c.req.header('Last-Event-ID') || query.after || null,
      abort: () => c.env?.outgoing?.destroy(),
    })
    return new Response(stream, {
      headers: {
        'Content-Type': 'text/event-stream; charset=utf-8',
        'Cache-Control': 'no-cache, no-transform',
        'X-Accel-Buffering': 'no',
      },
    })
  })
  router.openapi(polled, async (c) => {
    const { after, limit, ...query } = c.req.valid('query')
    const wanted = filterOf(query)
    const { events, scanned, head } = await feed.tail(after, wanted, limit)
    // Asked last: retention may have come between.
    const reset = (await feed.resetReason(after, wanted)) !== null
    const items = events.map(({ seq, name, data, envelope }) => ({ seq, event: name, data, ...envelope }))
    // Ahead of the log there is nothing to give; what is gone is not silently skipped.
    return c.json({ items, next: after > head ? head : scanned, ...(reset ? { reset } : {}) }, 200)
  })
  return router
}

function filterOf({ run_id, types }: { run_id?: string | undefined; types?: string | undefined }): FeedFilter {
  if (run_id !== undefined && !id.safeParse(run_id).success) throw new DomainError('NOT_FOUND', 'there is no such run')
  const texts = (types ?? '').split(',').map((text) => text.trim())
  const given = texts.filter((text) => text !== '')
  return { runId: run_id?.toLowerCase() ?? null, names: given.length === 0 ? null : namesOf(given) }
}
