/** The commands that fetch an exchange's history: a job that goes on by itself, page by page. */
import type { TradingMode } from '../../db/walle/live_rows.ts'
import type { CandleFetchRow } from '../../db/walle/market_rows.ts'
import {
  type CandleFetchView,
  getCandleFetch,
  lockCandleFetch,
  runningCandleFetch,
} from '../../db/walle/queries/market.ts'
import { TIMEFRAME_MS, TIMEFRAMES, type Timeframe } from '../../strategies/api.ts'
import type { CommandDependencies } from './commands.ts'
import { DomainError } from './errors.ts'

export interface CandleFetchRequest {
  /** Needed where several are configured. */
  exchange?: string | undefined
  symbol: string
  timeframe: Timeframe
  /** ISO 8601; what opens in [start, end]. */
  start: string
  /** Default: now. */
  end?: string | undefined
  /** Of equities; default split. */
  adjustment?: CandleFetchRow['adjustment'] | undefined
}

export interface CandleFetchDependencies extends Pick<CommandDependencies, 'recorder' | 'reader' | 'now' | 'newId'> {
  /** Exchanges that there are credentials for. */
  configured: () => readonly { exchange: string; mode: TradingMode }[]
}

const SYMBOL = /^[A-Za-z0-9._-]{1,24}(\/[A-Za-z0-9._-]{1,24})?$/
/** Of 1m bars that trade around the clock: 10 years. */
const MOST_BARS = 5_300_000

export function createCandleFetchCommands(deps: CandleFetchDependencies) {
  return {
    /** Of the same candles there is one at a time: asked for again, that is the answer. */
    fetchCandles: (request: CandleFetchRequest) => fetchCandles(deps, request),
    cancelCandleFetch: (id: string) => cancelCandleFetch(deps, id),
  }
}

export type CandleFetchCommands = ReturnType<typeof createCandleFetchCommands>

async function fetchCandles(deps: CandleFetchDependencies, request: CandleFetchRequest): Promise<CandleFetchView> {
  const row = newFetch(deps, request, deps.configured())
  const known = await runningCandleFetch(deps.reader, row)
  if (known !== null) {
    const same =
      known.start_time === row.start_time &&
      known.adjustment === row.adjustment &&
      (request.end === undefined || known.end_time === row.end_time)
    // A job for it again: that of before may be lost, and a second one finds nothing to do.
    if (same)
      return deps.recorder(async () => ({ outcome: { writes: [], events: [], jobs: [jobOf(known)] }, result: known }))
    const message = `${row.symbol} ${row.timeframe} is being fetched from ${row.exchange} by ${known.id}: wait for it, or cancel it`
    throw new DomainError('CONFLICT', message, { fetch_id: known.id })
  }
  return deps.recorder(async () => ({
    outcome: {
      writes: [{ kind: 'save_candle_fetches', rows: [row] }],
      events: [],
      jobs: [jobOf(row)],
    },
    result: { ...row, created_at: isoOf(deps.now()), updated_at: isoOf(deps.now()) },
  }))
}

const jobOf = ({ id }: { id: string }) => ({ task: 'veda.fetch_candles', payload: { fetch_id: id } }) as const
const isoOf = (time: number): string => new Date(time).toISOString()

function newFetch(
  deps: CandleFetchDependencies,
  request: CandleFetchRequest,
  configured: ReturnType<CandleFetchDependencies['configured']>,
): CandleFetchRow {
  const { symbol, timeframe } = request
  if (!SYMBOL.test(symbol)) throw invalid('symbol', `${JSON.stringify(symbol)} is not a symbol such as BTC/USD or AAPL`)
  if (!TIMEFRAMES.includes(timeframe)) throw invalid('timeframe', `use one of ${TIMEFRAMES.join(', ')}`)
  const frame = TIMEFRAME_MS[timeframe]
  const start = Math.ceil(Date.parse(request.start) / frame) * frame
  const until = Math.min(
    deps.now() - frame,
    request.end === undefined ? Number.POSITIVE_INFINITY : Date.parse(request.end),
  )
  const end = Math.floor(until / frame) * frame
  if (!(start <= end)) {
    throw invalid(
      'start',
      'no bar opens from start to end and is closed by now: start must be before end, and in the past',
    )
  }
  if ((end - start) / frame >= MOST_BARS) {
    throw invalid('start', `at most ${MOST_BARS} bars can be fetched at once: fetch the range in parts`)
  }
  return {
    id: deps.newId(),
    ...sourceOf(configured, request.exchange),
    symbol,
    timeframe,
    start_time: isoOf(start),
    end_time: isoOf(end),
    next_time: isoOf(start),
    adjustment: adjustmentOf(request),
    feed: null,
    status: 'running',
    ...{ stored: 0, revised: 0, unchanged: 0, error: null },
  }
}

/** Data is the same in paper and live trading; paper credentials are the less precious ones. */
function sourceOf(configured: readonly { exchange: string; mode: TradingMode }[], wanted: string | undefined) {
  const known = [...new Set(configured.map(({ exchange }) => exchange))]
  // The simulator's prices are of no use to whoever does not ask for them.
  const real = known.filter((exchange) => exchange !== 'sim')
  const exchange = wanted ?? (real.length === 1 ? real[0] : known.length === 1 ? known[0] : undefined)
  if (exchange === undefined)
    throw invalid('exchange', `say from which exchange: ${known.join(', ') || 'none is configured'}`)
  const modes = configured.filter((one) => one.exchange === exchange).map(({ mode }) => mode)
  const mode = modes.includes('paper') ? 'paper' : modes[0]
  if (mode === undefined) {
    throw invalid(
      'exchange',
      `${exchange} is not configured; there is ${known.join(', ') || 'none'}: set its credentials`,
    )
  }
  return { exchange, mode }
}

function adjustmentOf({ symbol, adjustment }: CandleFetchRequest): CandleFetchRow['adjustment'] {
  if (!symbol.includes('/')) return adjustment ?? 'split'
  if ((adjustment ?? 'raw') !== 'raw') {
    throw invalid('adjustment', `${symbol} has no corporate actions: its candles are raw, leave the adjustment out`)
  }
  return 'raw'
}

async function cancelCandleFetch(deps: CandleFetchDependencies, id: string): Promise<CandleFetchView> {
  await deps.recorder(async (tx) => {
    const row = await lockCandleFetch(tx, id)
    const writes =
      row?.status === 'running'
        ? [{ kind: 'save_candle_fetches' as const, rows: [{ ...row, status: 'cancelled' as const, error: null }] }]
        : []
    return { outcome: { writes, events: [] }, result: null }
  })
  const row = await getCandleFetch(deps.reader, id)
  if (row === null) throw new DomainError('NOT_FOUND', `there is no fetch of candles ${id}`)
  return row
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('VALIDATION_ERROR', message, { issues: [{ path: field, message }] })
}
