import { createRoute, z } from '@hono/zod-openapi'
import type { Reader } from '../../db/database.ts'
import { newestOfRun } from '../../db/events/read.ts'
import type { SeriesReport } from '../../db/walle/calendar/inspect.ts'
import { OutsideCalendarError } from '../../db/walle/calendar/resample.ts'
import { warningsOf } from '../../db/walle/calendar/warnings.ts'
import { emptyColumns, mergeColumns } from '../../db/walle/candle_columns.ts'
import {
  datasetFingerprint,
  datasetVersions,
  inspectStored,
  listCandles,
  listDatasets,
  listSymbols,
} from '../../db/walle/queries/candles.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { readSeries, seriesRange } from '../../db/walle/queries/series.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { DomainError } from '../../jobs/glados/errors.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { bucketBars } from '../buckets.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { notFound } from '../errors.ts'
import { readUpload } from '../import_body.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { adjustment, candles, dataset, imported, symbol } from '../schemas/market.ts'
import { answers, limited, name, timeframe, timeIn } from '../schemas/values.ts'

const tags = ['candles']
const MOST_CANDLES = 10_000
const MOST_BUCKETS = 2_000

const listed = (zone: string) =>
  createRoute({
    method: 'get',
    path: '/candles',
    tags,
    summary: 'Candles; with `buckets` as columns, aggregated to at most so many bars',
    request: {
      query: z.object({
        symbol: name,
        timeframe,
        start: timeIn(zone).optional(),
        end: timeIn(zone).optional(),
        limit: limited(100, MOST_CANDLES),
        buckets: z.coerce.number().int().min(1).max(MOST_BUCKETS).optional(),
        run_id: name.optional().openapi({
          description: 'With `buckets`: and what this run has seen since, which is stored a little later.',
        }),
      }),
    },
    responses: answers(200, candles, 'Oldest first; without `start` the newest ones'),
  })

const uploaded = createRoute({
  method: 'post',
  path: '/candles/import',
  tags,
  summary: 'Candles from a CSV or Parquet file, sent as the body or as the field `file` of a form',
  request: {
    query: z.object({
      symbol: name.optional(),
      timeframe: timeframe.optional(),
      strict: z.stringbool().optional(),
      adjustment: adjustment.optional(),
      feed: name.optional(),
    }),
  },
  responses: answers(200, imported, 'What was read, stored and rejected'),
})

const symbols = createRoute({
  method: 'get',
  path: '/symbols',
  tags,
  summary: 'Symbols that have candles',
  responses: answers(200, z.object({ items: z.array(symbol) }), 'Symbols'),
})

const datasets = createRoute({
  method: 'get',
  path: '/datasets',
  tags,
  summary: 'Stored ranges, their gaps and fingerprints',
  responses: answers(200, z.object({ items: z.array(dataset) }), 'Data sets'),
})

export function candleRoutes(deps: ApiDependencies): ApiRouter {
  const { reader } = deps.db
  const router = createRouter()
  const notesOfDatasets = createNotes(deps)
  router.openapi(listed(deps.config.timezone), async (c) => {
    const { buckets, run_id, ...query } = c.req.valid('query')
    if (buckets !== undefined) return c.json(await readBuckets(deps, { ...query, buckets, run_id }), 200)
    const items = await listCandles(reader, query)
    return c.json({ symbol: query.symbol, timeframe: query.timeframe, items }, 200)
  })
  router.openapi(uploaded, async (c) => {
    const request = await readUpload(c.req.raw, c.req.valid('query'))
    const report = await deps.commands.importCandles(request, { corrId: c.var.corrId })
    return c.json(
      {
        symbol: report.symbol,
        timeframe: report.timeframe,
        rows_read: report.read,
        rows_stored: report.stored,
        rows_revised: report.revised,
        rows_unchanged: report.unchanged,
        rows_rejected: report.rejected_count,
        rejected: report.rejected,
        gaps: report.gaps.count,
        missing_bars: report.gaps.missing,
        warnings: report.warnings,
        invalidated_runs: report.invalidated,
        first: report.first,
        last: report.last,
      },
      200,
    )
  })
  router.openapi(symbols, async (c) => c.json({ items: await listSymbols(reader) }, 200))
  router.openapi(datasets, async (c) => {
    const notes = await notesOfDatasets()
    const items = (await listDatasets(reader)).map((set) => {
      const { symbol, timeframe, first, last, bars, adjustment, feed } = set
      const { fingerprint, report } = notes.get(`${symbol} ${timeframe}`) ?? UNREAD
      return {
        ...{ symbol, timeframe, start: first, end: last, bars, adjustment, feed, fingerprint },
        gaps: report?.gaps.count ?? 0,
        missing_bars: report?.gaps.missing ?? 0,
        warnings: report ? warningsOf(`${symbol} ${timeframe}`, report, adjustment) : [],
      }
    })
    return c.json({ items }, 200)
  })
  return router
}

interface BucketQuery {
  symbol: string
  timeframe: Timeframe
  start?: string | undefined
  end?: string | undefined
  buckets: number
  run_id?: string | undefined
}

async function readBuckets({ db: { reader } }: ApiDependencies, query: BucketQuery) {
  const { symbol, timeframe } = query
  const frame = TIMEFRAME_MS[timeframe]
  const range = await seriesRange(reader, symbol, timeframe)
  // Clipped to what is stored: the bounds of a query may be any date.
  const from = Math.max(range?.first ?? 0, query.start === undefined ? 0 : Date.parse(query.start))
  const to = Math.min(range?.last ?? 0, query.end === undefined ? Number.POSITIVE_INFINITY : Date.parse(query.end)) + 1
  const read =
    range && from < to ? await readSeries(reader, { symbol, timeframe, from, to, warmupBars: 0 }).catch(refuse) : null
  const stored = read?.columns ?? emptyColumns(0)
  const bars = mergeColumns(stored, await seenSince(reader, query, stored.time.at(-1)))
  const { bucketMs, columns } = bucketBars(bars, frame, query.buckets)
  return {
    symbol,
    timeframe,
    bucket_ms: bucketMs,
    columns: {
      time: Array.from(columns.time),
      open: Array.from(columns.open),
      high: Array.from(columns.high),
      low: Array.from(columns.low),
      close: Array.from(columns.close),
      volume: Array.from(columns.volume),
    },
  }
}

/** Bars of the query that the newest window of a run shows, and that open after those that are stored. */
async function seenSince(
  reader: Reader,
  query: BucketQuery,
  stored = Number.NEGATIVE_INFINITY,
): Promise<CandleColumns> {
  const { symbol, timeframe, start, end, run_id } = query
  const run = run_id === undefined ? null : await getRun(reader, run_id)
  if (run_id !== undefined && run === null) throw notFound('run', run_id)
  const event = run && (await newestOfRun(reader, run.id, 'data.WindowReady'))
  const seen = event?.payload.windows.findLast((one) => one.symbol === symbol && one.timeframe === timeframe)?.columns
  if (seen == null) return emptyColumns(0)
  const from = Math.max(stored + 1, start === undefined ? 0 : Date.parse(start))
  const to = end === undefined ? Number.POSITIVE_INFINITY : Date.parse(end)
  const wanted = seen.time.map((time) => time >= from && time <= to)
  const column = (name: keyof CandleColumns) => Float64Array.from(seen[name].filter((_, index) => wanted[index]))
  return {
    ...{ time: column('time'), open: column('open'), high: column('high') },
    ...{ low: column('low'), close: column('close'), volume: column('volume') },
  }
}

interface Notes {
  fingerprint: string
  report: SeriesReport | null
}

function refuse(error: unknown): never {
  if (!(error instanceof OutsideCalendarError)) throw error
  throw new DomainError('VALIDATION_ERROR', error.message, { issues: [{ path: 'start', message: error.message }] })
}

/** Of a set that came between the two looks at what there is. */
const UNREAD: Notes = { fingerprint: '', report: null }

/** Hashing and looking through a series reads all of it, so what comes of it is kept until one of its bars changes. */
function createNotes({ db: { reader } }: ApiDependencies): () => Promise<Map<string, Notes>> {
  const kept = new Map<string, Notes & { version: string }>()
  return async () => {
    const versions = await datasetVersions(reader)
    for (const series of kept.keys()) if (!versions.has(series)) kept.delete(series)
    for (const [series, version] of versions) {
      if (kept.get(series)?.version === version) continue
      const cut = series.lastIndexOf(' ')
      const [symbol, timeframe] = [series.slice(0, cut), series.slice(cut + 1) as Timeframe]
      const fingerprint = await datasetFingerprint(reader, symbol, timeframe)
      if (fingerprint === null) continue
      kept.set(series, { version, fingerprint, report: await inspectStored(reader, symbol, timeframe) })
    }
    return kept
  }
}
