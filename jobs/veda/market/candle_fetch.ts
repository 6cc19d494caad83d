/**
 * Fetches an exchange's history, a page a job: the page is stored and the place of the next one set in one transaction,
 * so that whoever goes on after a crash goes on there, and a page that is fetched twice changes nothing.
 */
import type { Database, WriteTx } from '../../../db/database.ts'
import type { TaskPayload } from '../../../db/events/tasks.ts'
import { MixedCandlesError } from '../../../db/walle/import/adjustment.ts'
import type { CandleFetchRow } from '../../../db/walle/market_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import { getCandleFetch, lockCandleFetch } from '../../../db/walle/queries/market.ts'
import { record } from '../../../db/walle/record.ts'
import { TIMEFRAME_MS } from '../../../strategies/api.ts'
import type { RunningJob } from '../../backtest/jobs.ts'
import type { Venues } from '../../live/live.ts'
import { type VenueBar, VenueError } from '../venue.ts'

export interface CandleFetchJobs {
  db: Database
  venues: Pick<Venues, 'get'>
  now: () => number
}

interface FetchJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

/** Bars that would be in one page if there were no holes: a few answers of a venue. */
const BARS_OF_A_PAGE = 20_000
const RETRY_MS = 5_000
const LONGEST_RETRY_MS = 60_000

type Range = 'id' | 'exchange' | 'mode' | 'symbol' | 'timeframe' | 'start_time' | 'end_time' | 'adjustment'

/** A fetch that nobody asked for by hand. */
export function newFetch(range: Pick<CandleFetchRow, Range>): Outcome {
  const progress = { stored: 0, revised: 0, unchanged: 0, error: null }
  const row: CandleFetchRow = { ...range, next_time: range.start_time, feed: null, status: 'running', ...progress }
  return {
    writes: [{ kind: 'save_candle_fetches', rows: [row] }],
    events: [],
    jobs: [{ task: 'veda.fetch_candles', payload: { fetch_id: row.id } }],
  }
}

export async function fetchCandlePage(
  jobs: CandleFetchJobs,
  { fetch_id }: TaskPayload<'veda.fetch_candles'>,
  job: FetchJob,
): Promise<void> {
  const { db } = jobs
  const row = await getCandleFetch(db.reader, fetch_id)
  const page = row?.status === 'running' ? await ask(jobs, row) : null
  job.signal.throwIfAborted()
  if (page !== null && 'retryMs' in page) {
    await update(db, row?.id as string, { error: page.error })
    await job.putBack(page.retryMs)
  }
  try {
    await db.write(async (tx) => {
      const locked = await lockCandleFetch(tx, fetch_id)
      // Cancelled meanwhile, or gone on by another worker.
      const current = locked?.status === 'running' && locked.next_time === row?.next_time
      if (current && page !== null && !('retryMs' in page)) {
        await storePage(tx, locked, page)
      }
      await job.finish(tx)
    })
  } catch (error) {
    if (!(error instanceof MixedCandlesError)) throw error
    await update(db, fetch_id, { status: 'error', error: error.message })
  }
}

/** The fetch can go on no more: its job failed for good. */
export async function failedFetch(tx: WriteTx, fetchId: string, error: string): Promise<void> {
  const row = await lockCandleFetch(tx, fetchId)
  if (row?.status !== 'running') return
  await record(tx, {
    writes: [{ kind: 'save_candle_fetches', rows: [{ ...row, status: 'error', error }] }],
    events: [],
  })
}

function update(db: Database, id: string, changes: Partial<CandleFetchRow>): Promise<void> {
  return db.write(async (tx) => {
    const row = await lockCandleFetch(tx, id)
    if (row?.status !== 'running') return
    await record(tx, { writes: [{ kind: 'save_candle_fetches', rows: [{ ...row, ...changes }] }], events: [] })
  })
}

type Page =
  | { feed: string; bars: VenueBar[]; end: number }
  | { failed: string }
  /** The same may work later. */
  | { retryMs: number; error: string }

async function ask({ venues, now }: CandleFetchJobs, row: CandleFetchRow): Promise<Page> {
  const { symbol, timeframe, adjustment } = row
  const frame = TIMEFRAME_MS[timeframe]
  const start = Date.parse(row.next_time)
  const end = Math.min(Date.parse(row.end_time), start + (BARS_OF_A_PAGE - 1) * frame)
  try {
    const venue = await venues.get(row.exchange, row.mode)
    if (row.next_time === row.start_time && (await venue.asset(symbol)) === null) {
      return { failed: `${row.exchange} knows no ${symbol}` }
    }
    const bars = await venue.bars({ symbol, timeframe, start, end, adjustment })
    return {
      feed: venue.feedOf(symbol),
      bars: bars.filter(({ time }) => time >= start && time <= end && time + frame <= now()),
      end,
    }
  } catch (error) {
    if (!(error instanceof VenueError)) throw error
    const { kind, message, retryAfterMs } = error
    if (kind === 'unauthorised' || kind === 'refused' || kind === 'not_found') return { failed: message }
    return { retryMs: Math.min(LONGEST_RETRY_MS, retryAfterMs ?? RETRY_MS), error: message }
  }
}

async function storePage(tx: WriteTx, row: CandleFetchRow, page: Exclude<Page, { retryMs: number }>): Promise<void> {
  if ('failed' in page) {
    const ended = { ...row, status: 'error' as const, error: page.failed }
    await record(tx, { writes: [{ kind: 'save_candle_fetches', rows: [ended] }], events: [] })
    return
  }
  const { symbol, timeframe, adjustment } = row
  const { feed, bars: candles, end } = page
  const write = { kind: 'store_candles', symbol, timeframe, candles, adjustment, feed } as const
  const { candles: told } = await record(tx, { writes: candles.length > 0 ? [write] : [], events: [] })
  const done = end >= Date.parse(row.end_time)
  const after: CandleFetchRow = {
    ...row,
    feed,
    next_time: new Date(end + TIMEFRAME_MS[timeframe]).toISOString(),
    status: done ? 'completed' : 'running',
    error: null,
    stored: row.stored + (told[0]?.stored.count ?? 0),
    revised: row.revised + (told[0]?.revised.count ?? 0),
    unchanged: row.unchanged + (told[0]?.unchanged ?? 0),
  }
  await record(tx, {
    writes: [{ kind: 'save_candle_fetches', rows: [after] }],
    events: [],
    jobs: done ? [] : [{ task: 'veda.fetch_candles', payload: { fetch_id: row.id } }],
  })
}
