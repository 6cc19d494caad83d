import { createRoute, z } from '@hono/zod-openapi'
import { createThrottle } from '../../db/events/throttle.ts'
import { paritySummary } from '../../db/walle/queries/parity.ts'
import { invalidationsOf } from '../../db/walle/queries/run_data.ts'
import { getRun, listRuns } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { CloneRequest } from '../../jobs/glados/clone_run.ts'
import type { RunRequest } from '../../jobs/glados/commands.ts'
import { MODES } from '../../strategies/api.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { clonedRun, closing, RUN_STATUSES, run, runClone, runClose, runCreate, runStop } from '../schemas/runs.ts'
import { answers, name, pageOf, paging, params } from '../schemas/values.ts'
import { BY } from './orders.ts'

const tags = ['runs']

const listed = createRoute({
  method: 'get',
  path: '/runs',
  tags,
  summary: 'Runs, newest first',
  request: {
    query: z.object({
      status: z.enum(RUN_STATUSES).optional(),
      mode: z.enum(MODES).optional(),
      strategy_id: name.optional(),
      archived: z
        .stringbool()
        .default(false)
        .openapi({ description: 'Runs that were deleted and are kept: those of real money.' }),
      invalidated: z
        .stringbool()
        .optional()
        .openapi({ description: 'Only runs whose candles were revised, or were not.' }),
      ...paging({ page_size: 20, most: 100 }),
    }),
  },
  responses: answers(200, pageOf(run), 'A page of runs'),
})

const created = (zone: string) =>
  createRoute({
    method: 'post',
    path: '/runs',
    tags,
    summary: 'A new run, pending',
    request: { body: { required: true, content: { 'application/json': { schema: runCreate(zone) } } } },
    responses: answers(201, run, 'The run'),
  })

const read = createRoute({
  method: 'get',
  path: '/runs/{id}',
  tags,
  summary: 'A run',
  request: { params },
  responses: answers(200, run, 'The run'),
})

const removed = createRoute({
  method: 'delete',
  path: '/runs/{id}',
  tags,
  summary: 'Delete a run that is not running',
  request: { params },
  responses: { 204: { description: 'Deleted' } },
})

const cloned = (zone: string) =>
  createRoute({
    method: 'post',
    path: '/runs/{id}/clone',
    tags,
    summary: 'A new run like this one, but for what is given: from backtest to paper to live',
    request: {
      params,
      body: { required: false, content: { 'application/json': { schema: runClone(zone) } } },
    },
    responses: answers(201, clonedRun, 'The run, and in what it differs'),
  })

const started = createRoute({
  method: 'post',
  path: '/runs/{id}/start',
  tags,
  summary: 'Start a pending run',
  request: { params },
  responses: answers(200, run, 'The run'),
})

const stopped = createRoute({
  method: 'post',
  path: '/runs/{id}/stop',
  tags,
  summary: 'Stop a run; one that has ended stays as it is',
  request: { params, body: { required: false, content: { 'application/json': { schema: runStop } } } },
  responses: answers(200, run, 'The run'),
})

const closed = createRoute({
  method: 'post',
  path: '/runs/{id}/close',
  tags,
  summary: 'Close what a paper or live run holds, at the market, also after its end; asked twice it is one order',
  request: { params, body: { required: false, content: { 'application/json': { schema: runClose } } } },
  responses: answers(200, closing, 'The orders that close'),
})

export function runRoutes({ db, commands, config, clock }: ApiDependencies): ApiRouter {
  const router = createRouter()
  const throttle = createThrottle({ reader: db.reader, now: clock.now })
  const runsJson = async (runs: readonly RunRow[]) => {
    const invalidations = await invalidationsOf(
      db.reader,
      runs.map(({ id }) => id),
    )
    return Promise.all(
      runs.map(async (run) => {
        const waits = run.status === 'running' && run.mode === 'backtest'
        const waits_for = waits ? await throttle() : null
        return { ...shownOf(run), waits_for, invalidated_by: invalidations.get(run.id) ?? null }
      }),
    )
  }
  const runJson = async (run: RunRow) => {
    const [shown] = await runsJson([run])
    return shown as NonNullable<typeof shown>
  }
  router.openapi(listed, async (c) => {
    const query = c.req.valid('query')
    const { items, total, total_is_estimate } = await listRuns(db.reader, query)
    const { page, page_size } = query
    const estimate = total_is_estimate ? { total_is_estimate } : {}
    return c.json({ items: await runsJson(items), total, page, page_size, ...estimate }, 200)
  })
  router.openapi(created(config.timezone), async (c) => {
    // Fill and risk are checked by the command, which knows their rules.
    const request = c.req.valid('json') as RunRequest
    return c.json(await runJson(await commands.createRun(request, { corrId: c.var.corrId })), 201)
  })
  router.openapi(read, async (c) => {
    const { id } = c.req.valid('param')
    const found = await getRun(db.reader, id)
    if (!found) throw notFound('run', id)
    return c.json(await runJson(found), 200)
  })
  router.openapi(removed, async (c) => {
    await commands.deleteRun(c.req.valid('param').id, { corrId: c.var.corrId })
    return c.body(null, 204)
  })
  router.openapi(cloned(config.timezone), async (c) => {
    const { id } = c.req.valid('param')
    // Without a body nothing was validated, and nothing is to be different.
    const request = (c.req.valid('json') ?? {}) as CloneRequest
    const { run, differences } = await commands.cloneRun(id, request, { corrId: c.var.corrId })
    const source = await getRun(db.reader, id)
    const parity = source === null || source.mode === 'backtest' ? null : await paritySummary(db.reader, id)
    return c.json({ run: await runJson(run), differences, parity }, 201)
  })
  router.openapi(started, async (c) => {
    const { id } = c.req.valid('param')
    return c.json(await runJson(await commands.startRun(id, { corrId: c.var.corrId })), 200)
  })
  router.openapi(stopped, async (c) => {
    const { id } = c.req.valid('param')
    // Without a body nothing was validated, and the defaults hold.
    const options = runStop.parse(c.req.valid('json') ?? {})
    return c.json(await runJson(await commands.stopRun(id, options, { corrId: c.var.corrId })), 200)
  })
  router.openapi(closed, async (c) => {
    const { id } = c.req.valid('param')
    // Without a body nothing was validated, and all is meant.
    const { symbol } = runClose.parse(c.req.valid('json') ?? {})
    return c.json(await commands.closePositions(id, { symbol, by: BY }, { corrId: c.var.corrId }), 200)
  })
  return router
}

/** What a run shows: all but the machinery that drives it. */
function shownOf({ next_tick, open_corr_id, last_event_id, stop_requested, ...shown }: RunRow) {
  const stopping = shown.status === 'running' ? (stop_requested as z.infer<typeof runStop> | null) : null
  return { ...shown, stopping }
}
