import { createRoute, z } from '@hono/zod-openapi'
import { getBand } from '../../db/walle/queries/bands.ts'
import { otherTrials, summariseSkips, tickRange } from '../../db/walle/queries/results.ts'
import { invalidationsOf, invalidationText, listRunDatasets } from '../../db/walle/queries/run_data.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunDatasetRow, RunRow } from '../../db/walle/rows.ts'
import { readReport } from '../../jobs/report/data.ts'
import { commandOf } from '../../jobs/report/parts/record.ts'
import { REPORT_POLICY, reportHtml } from '../../jobs/report/report.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { band, report } from '../schemas/reports.ts'
import { answers, params } from '../schemas/values.ts'

const tags = ['results']
/** Reasons for doing nothing that a report lists, the most frequent first. */
const REASONS = 30

const reported = createRoute({
  method: 'get',
  path: '/runs/{id}/report',
  tags,
  summary: 'Statistics, what stands against them, and what it takes to reproduce them',
  request: {
    params,
    query: z.object({
      format: z
        .enum(['json', 'html'])
        .optional()
        .openapi({ description: 'html: one file to read and to print. Default by the header Accept, else json.' }),
    }),
  },
  responses: {
    200: {
      description: 'The report; statistics are null until the run has completed',
      content: { 'application/json': { schema: report }, 'text/html': { schema: z.string() } },
    },
  },
})

const banded = createRoute({
  method: 'get',
  path: '/runs/{id}/band',
  tags,
  summary: 'How far the result depends on the assumptions of the fill model',
  request: { params },
  responses: answers(200, band, 'The assumption band, or how far it has come'),
})

const bandWanted = createRoute({
  method: 'post',
  path: '/runs/{id}/band',
  tags,
  summary: 'Play a completed backtest again under other assumptions, once',
  request: { params },
  responses: answers(200, band, 'The assumption band, or how far it has come'),
})

export function reportRoutes({ db: { reader }, commands }: ApiDependencies): ApiRouter {
  const router = createRouter()
  const runOf = async (id: string): Promise<RunRow> => {
    const run = await getRun(reader, id)
    if (!run) throw notFound('run', id)
    return run
  }
  router.openapi(reported, async (c) => {
    const run = await runOf(c.req.valid('param').id)
    const format = c.req.valid('query').format ?? formatFor(c.req.header('accept'))
    if (format === 'json') return c.json(await reportJson(run), 200)
    c.header('Content-Security-Policy', REPORT_POLICY)
    return c.html(await reportHtml(await readReport(reader, run)), 200)
  })
  router.openapi(banded, async (c) => {
    const { id } = await runOf(c.req.valid('param').id)
    const found = await getBand(reader, id)
    if (!found) throw notFound('assumption band of run', id)
    return c.json(found, 200)
  })
  router.openapi(bandWanted, async (c) => c.json(await commands.requestBand(c.req.valid('param').id), 200))

  async function reportJson(run: RunRow) {
    const ticks = await tickRange(reader, run.id)
    const invalidation = (await invalidationsOf(reader, [run.id])).get(run.id)
    return {
      run_id: run.id,
      status: run.status,
      stats: run.stats,
      result_hash: run.result_hash,
      reproducibility: { ...recordOf(run), data: (await listRunDatasets(reader, run.id)).map(datasetJson) },
      cautions: [...run.cautions, ...(invalidation ? [invalidationText(invalidation)] : [])],
      trials_now: ticks && (await otherTrials(reader, run, ticks)).count + 1,
      skips: await summariseSkips(reader, run.id, REASONS),
      band: await getBand(reader, run.id),
    }
  }
  return router
}

/** A browser that opens the address wants to read, a program that fetches it wants data. */
function formatFor(accept = ''): 'json' | 'html' {
  return accept.includes('text/html') && !accept.includes('application/json') ? 'html' : 'json'
}

function datasetJson({ run_id, ...shown }: RunDatasetRow) {
  return shown
}

function recordOf(run: RunRow) {
  return {
    weaver_version: run.weaver_version,
    strategy_id: run.strategy_id,
    strategy_version: run.strategy_version,
    strategy_hash: run.strategy_hash,
    config: run.config,
    symbols: run.symbols,
    timeframe: run.timeframe,
    start_time: run.start_time,
    end_time: run.end_time,
    initial_cash: run.initial_cash,
    dataset_fingerprint: run.dataset_fingerprint,
    fill: run.fill,
    risk: run.risk,
    seed: run.seed,
    command: commandOf(run),
  }
}
