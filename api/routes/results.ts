import { createRoute, z } from '@hono/zod-openapi'
import { pageOfRun } from '../../db/events/read.ts'
import { summariseTicks } from '../../db/walle/queries/live_runs.ts'
import { listMarkedAccountPositions, listMarkedPositions } from '../../db/walle/queries/marked.ts'
import { EXACT_TOTAL, type Page, type Paging } from '../../db/walle/queries/page.ts'
import { pageDecisions, pageFills, pageTrades, readEquity } from '../../db/walle/queries/results.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { downsample, drawdowns } from '../../jobs/report/downsample.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { accountPosition } from '../schemas/accounts.ts'
import { decision, equityPoint, fill, position, tickSummary, trade } from '../schemas/runs.ts'
import { runEvent } from '../schemas/system.ts'
import { answers, name, pageOf, paging, params } from '../schemas/values.ts'

const tags = ['results']
const MOST_ROWS = 1_000
const MOST_POINTS = 5_000
const LEAST_POINTS = 4
/** A day of minutes. */
const TICKS_SUMMED = 1_440

const equity = createRoute({
  method: 'get',
  path: '/runs/{id}/equity',
  tags,
  summary: 'The equity curve, with at most `points` points: of each stretch the first, lowest, highest and last',
  request: {
    params,
    query: z.object({ points: z.coerce.number().int().min(LEAST_POINTS).max(MOST_POINTS).default(1_000) }),
  },
  responses: answers(
    200,
    z.object({ items: z.array(equityPoint), total: z.number().openapi({ description: 'Points stored.' }) }),
    'The curve, oldest first',
  ),
})

function pagedRoute<Path extends string, Item extends z.ZodType>(path: Path, summary: string, item: Item) {
  return createRoute({
    method: 'get',
    path,
    tags,
    summary,
    request: { params, query: z.object(paging({ page_size: 50, most: MOST_ROWS })) },
    responses: answers(200, pageOf(item), 'A page, oldest first'),
  })
}

const fills = pagedRoute('/runs/{id}/fills', 'Fills', fill)
const trades = pagedRoute('/runs/{id}/trades', 'Round trips, first in first out', trade)
const decisions = createRoute({
  method: 'get',
  path: '/runs/{id}/decisions',
  tags,
  summary: 'What was decided, and the ticks that did nothing, with why',
  request: {
    params,
    query: z.object({
      ...paging({ page_size: 50, most: MOST_ROWS }),
      kind: z
        .enum(['acted', 'skipped'])
        .optional()
        .openapi({ description: 'Only decisions that asked for something, or only ticks that did nothing.' }),
      order: z.enum(['asc', 'desc']).default('asc').openapi({ description: 'asc: oldest first.' }),
    }),
  },
  responses: answers(200, pageOf(decision), 'A page'),
})
const ticks = createRoute({
  method: 'get',
  path: '/runs/{id}/ticks',
  tags,
  summary: 'How the clock served a paper or live run lately: its newest tick, how late ticks were, which were missed',
  request: { params },
  responses: answers(200, tickSummary, 'Of its newest ticks'),
})
const events = pagedRoute('/runs/{id}/events', 'What the run wrote to the log', runEvent)

const positions = createRoute({
  method: 'get',
  path: '/positions',
  tags,
  summary: 'Positions, per run and per exchange account',
  request: { query: z.object({ run_id: name.optional() }) },
  responses: answers(200, z.object({ items: z.array(position), accounts: z.array(accountPosition) }), 'Positions'),
})

export function resultRoutes({ db: { reader } }: ApiDependencies): ApiRouter {
  const router = createRouter()
  const runOf = async (id: string): Promise<RunRow> => {
    const run = await getRun(reader, id)
    if (!run) throw notFound('run', id)
    return run
  }
  router.openapi(equity, async (c) => {
    const run = await runOf(c.req.valid('param').id)
    const curve = await readEquity(reader, run.id)
    const drawdown = drawdowns(curve.equity, Number(run.initial_cash))
    const items = downsample(curve.equity, c.req.valid('query').points).map((i) => ({
      timestamp: new Date(curve.ts[i] as number).toISOString(),
      equity: curve.equity[i] as number,
      drawdown: drawdown[i] as number,
      exposure: curve.exposure[i] as number,
    }))
    return c.json({ items, total: curve.ts.length }, 200)
  })
  router.openapi(fills, async (c) => {
    const { id } = await runOf(c.req.valid('param').id)
    const query = c.req.valid('query')
    return c.json(pageJson(await pageFills(reader, id, query), query), 200)
  })
  router.openapi(trades, async (c) => {
    const { id } = await runOf(c.req.valid('param').id)
    const query = c.req.valid('query')
    return c.json(pageJson(await pageTrades(reader, id, query), query), 200)
  })
  router.openapi(decisions, async (c) => {
    const { id } = await runOf(c.req.valid('param').id)
    const query = c.req.valid('query')
    const { items, ...counted } = await pageDecisions(reader, id, query)
    const shown = items.map(({ intents, ...rest }) => ({ ...rest, intents: intents.map((intent) => ({ ...intent })) }))
    return c.json(pageJson({ items: shown, ...counted }, query), 200)
  })
  router.openapi(ticks, async (c) => {
    const { id } = await runOf(c.req.valid('param').id)
    return c.json(await summariseTicks(reader, id, TICKS_SUMMED), 200)
  })
  router.openapi(events, async (c) => {
    const { id } = await runOf(c.req.valid('param').id)
    const query = c.req.valid('query')
    const { items, total } = await pageOfRun(reader, id, { ...query, countTo: EXACT_TOTAL + 1 })
    const page = { items: items.map(({ seq, envelope }) => ({ seq, ...envelope })), total }
    return c.json(pageJson({ ...page, total_is_estimate: total > EXACT_TOTAL }, query), 200)
  })
  router.openapi(positions, async (c) => {
    const { run_id } = c.req.valid('query')
    if (run_id === undefined) {
      return c.json(
        { items: await listMarkedPositions(reader), accounts: await listMarkedAccountPositions(reader) },
        200,
      )
    }
    const { id } = await runOf(run_id)
    return c.json({ items: await listMarkedPositions(reader, id), accounts: [] }, 200)
  })
  return router
}

export function pageJson<Item>({ items, total, total_is_estimate }: Page<Item>, { page, page_size }: Paging) {
  return { items, total, page, page_size, ...(total_is_estimate ? { total_is_estimate } : {}) }
}
