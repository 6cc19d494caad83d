/** The one place that talks to the API. */
import { session } from './shell/session.svelte.ts'
import type {
  Account,
  AccountPosition,
  Alert,
  ApiErrorBody,
  Band,
  Bars,
  CandleAnswer,
  CandleFetch,
  ClonedRun,
  Closing,
  Curve,
  Dataset,
  Decision,
  EquityPoint,
  Fill,
  Halt,
  Halted,
  ImportResult,
  Info,
  Job,
  JobAnswer,
  JobState,
  Order,
  OrderTrace,
  Page,
  Parity,
  Pauses,
  Position,
  Report,
  Run,
  RunCreate,
  RunEvent,
  RunStop,
  Strategies,
  TickSummary,
  Trade,
} from './types.ts'

/** Longest wait for an answer; an import of a large file gets more. */
const TIMEOUT_MS = 20_000
const IMPORT_TIMEOUT_MS = 300_000
/** A trace may have to be derived by playing a run again. */
const TRACE_TIMEOUT_MS = 90_000
/** The most that the API gives in one page. */
const PAGE_MAX = 1_000

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly code: string
  readonly details: unknown
  readonly correlationId: string | null
  constructor(status: number, body: Partial<ApiErrorBody>) {
    super(body.message ?? `The server answered ${status}.`)
    this.status = status
    this.code = body.code ?? 'INTERNAL_ERROR'
    this.details = body.details ?? null
    this.correlationId = body.correlation_id ?? null
  }
}

interface Request {
  method?: string
  query?: Record<string, string | number | null | undefined>
  json?: unknown
  form?: FormData
  timeoutMs?: number
  signal?: AbortSignal | undefined
}

async function request<T>(path: string, options: Request = {}): Promise<T> {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(options.query ?? {})) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value))
  }
  const text = search.toString()
  const limit = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)
  const init: RequestInit = {
    method: options.method ?? 'GET',
    signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
    headers: { accept: 'application/json' },
  }
  if (options.json !== undefined) {
    init.body = JSON.stringify(options.json)
    init.headers = { ...init.headers, 'content-type': 'application/json' }
  } else if (options.form) init.body = options.form
  let response: Response
  try {
    response = await fetch(`/api/v1${path}${text === '' ? '' : `?${text}`}`, init)
  } catch (cause) {
    if (options.signal?.aborted) throw cause
    throw new ApiError(0, { code: 'SERVICE_UNAVAILABLE', message: 'Weaver does not answer. Is it running?' })
  }
  if (response.status === 204) return undefined as T
  const body: unknown = await response.json().catch(() => null)
  if (response.status === 401) session.wanted = true
  if (!response.ok) throw new ApiError(response.status, (body ?? {}) as Partial<ApiErrorBody>)
  return body as T
}

const id = encodeURIComponent

export interface RunFilter {
  status?: string | undefined
  mode?: string | undefined
  strategy_id?: string | undefined
  page?: number | undefined
  page_size?: number | undefined
}

export interface JobFilter {
  state?: JobState | undefined
  task?: string | undefined
  run_id?: string | undefined
  page: number
  page_size: number
}

export interface OrderFilter {
  run_id: string
  status?: string | undefined
  /** Only those that may still fill. */
  open?: 'true' | undefined
  page?: number | undefined
  page_size?: number | undefined
}

export interface DecisionFilter {
  kind?: 'acted' | 'skipped' | undefined
  order?: 'asc' | 'desc'
  page?: number
  page_size?: number
}

export type AccountName = Pick<Account, 'exchange' | 'mode'>

export interface HaltWords {
  reason?: string
  by?: string
}

export interface CandleFetchRequest {
  exchange: string
  symbol: string
  timeframe: CandleFetch['timeframe']
  start: string
  end?: string
  adjustment?: CandleFetch['adjustment']
}

export interface CandleQuery {
  symbol: string
  timeframe: string
  start?: string | null
  end?: string | null
  buckets: number
  /** A paper or live run, whose newest bars are stored a little later. */
  run_id?: string
}

type Signal = AbortSignal | undefined

export const api = {
  /** Trades the key for the browser's session cookie. */
  openSession: (key: string) => request<void>('/session', { method: 'POST', json: { key } }),
  info: (signal?: Signal) => request<Info>('/info', { signal }),
  runs: (query: RunFilter, signal?: Signal) => request<Page<Run>>('/runs', { query: { ...query }, signal }),
  run: (run: string, signal?: Signal) => request<Run>(`/runs/${id(run)}`, { signal }),
  createRun: (body: RunCreate) => request<Run>('/runs', { method: 'POST', json: body }),
  startRun: (run: string) => request<Run>(`/runs/${id(run)}/start`, { method: 'POST', json: {} }),
  stopRun: (run: string, options: Partial<RunStop> = {}) =>
    request<Run>(`/runs/${id(run)}/stop`, { method: 'POST', json: options }),
  /** What the run holds of it, at the market. */
  closePosition: (run: string, symbol: string) =>
    request<Closing>(`/runs/${id(run)}/close`, { method: 'POST', json: { symbol } }),
  /** A new run like this one but for what is given, and what differs. */
  cloneRun: (run: string, body: Partial<RunCreate>) =>
    request<ClonedRun>(`/runs/${id(run)}/clone`, { method: 'POST', json: body }),
  deleteRun: (run: string) => request<void>(`/runs/${id(run)}`, { method: 'DELETE' }),
  report: (run: string, signal?: Signal) => request<Report>(`/runs/${id(run)}/report`, { signal }),
  requestBand: (run: string) => request<Band>(`/runs/${id(run)}/band`, { method: 'POST', json: {} }),
  parity: (run: string, signal?: Signal) => request<Parity>(`/runs/${id(run)}/parity`, { signal }),
  replayRun: (run: string) => request<Parity>(`/runs/${id(run)}/replay`, { method: 'POST', json: {} }),
  equity: async (run: string, points: number, signal?: Signal): Promise<Curve> =>
    readCurve(await request<{ items: EquityPoint[] }>(`/runs/${id(run)}/equity`, { query: { points }, signal })),
  fills: (run: string, query: { page?: number; page_size?: number }, signal?: Signal) =>
    request<Page<Fill>>(`/runs/${id(run)}/fills`, { query, signal }),
  /** Up to `limit` fills, page by page. */
  chartFills: async (run: string, limit: number, signal?: Signal): Promise<Fill[]> => {
    const found: Fill[] = []
    for (let page = 1; found.length < limit; page++) {
      const answer = await api.fills(run, { page, page_size: PAGE_MAX }, signal)
      found.push(...answer.items)
      if (answer.items.length < PAGE_MAX || found.length >= answer.total) break
    }
    return found
  },
  trades: (run: string, query: { page?: number; page_size?: number }, signal?: Signal) =>
    request<Page<Trade>>(`/runs/${id(run)}/trades`, { query, signal }),
  events: (run: string, query: { page?: number; page_size?: number }, signal?: Signal) =>
    request<Page<RunEvent>>(`/runs/${id(run)}/events`, { query, signal }),
  decisions: (run: string, query: DecisionFilter, signal?: Signal) =>
    request<Page<Decision>>(`/runs/${id(run)}/decisions`, { query: { ...query }, signal }),
  ticks: (run: string, signal?: Signal) => request<TickSummary>(`/runs/${id(run)}/ticks`, { signal }),
  positions: (run: string, signal?: Signal) =>
    request<{ items: Position[] }>('/positions', { query: { run_id: run }, signal }),
  accounts: (signal?: Signal) => request<{ items: Account[] }>('/accounts', { signal }),
  reconcileAccount: ({ exchange, mode }: AccountName) =>
    request<Account>(`/accounts/${id(exchange)}/${mode}/reconcile`, { method: 'POST', json: {} }),
  acceptPosition: ({ exchange, mode }: AccountName, symbol: string) =>
    request<AccountPosition>(`/accounts/${id(exchange)}/${mode}/accept`, { method: 'POST', json: { symbol } }),
  alerts: (query: { run_id?: string; limit?: number }, signal?: Signal) =>
    request<{ items: Alert[] }>('/alerts', { query, signal }),
  cancelOrder: (order: string) => request<Order>(`/orders/${id(order)}/cancel`, { method: 'POST', json: {} }),
  halts: (signal?: Signal) => request<{ items: Halt[] }>('/system/halts', { signal }),
  halt: (body: HaltWords) => request<Halted>('/system/halt', { method: 'POST', json: body }),
  /** Without a run, of the whole system. */
  resume: (body: { run_id?: string; by?: string }) =>
    request<{ items: Halt[] }>('/system/resume', { method: 'POST', json: body }),
  orders: (query: OrderFilter, signal?: Signal) => request<Page<Order>>('/orders', { query: { ...query }, signal }),
  trace: (order: string, signal?: Signal) =>
    request<OrderTrace>(`/orders/${encodeURIComponent(order)}/trace`, { timeoutMs: TRACE_TIMEOUT_MS, signal }),
  candles: async (query: CandleQuery, signal?: Signal): Promise<Bars> =>
    readBars(await request<CandleAnswer>('/candles', { query: { ...query }, signal })),
  strategies: (signal?: Signal) => request<Strategies>('/strategies', { signal }),
  jobs: (query: JobFilter, signal?: Signal) => request<Page<Job>>('/jobs', { query: { ...query }, signal }),
  pauses: (signal?: Signal) => request<Pauses>('/queues', { signal }),
  retryJob: (job: string) => request<JobAnswer>(`/jobs/${id(job)}/retry`, { method: 'POST', json: {} }),
  cancelJob: (job: string) => request<JobAnswer>(`/jobs/${id(job)}/cancel`, { method: 'POST', json: {} }),
  resumeJobs: (name: string) => request<unknown>(`/queues/${id(name)}/resume`, { method: 'POST', json: {} }),
  candleFetches: (limit: number, signal?: Signal) =>
    request<{ items: CandleFetch[] }>('/candles/fetch', { query: { limit }, signal }),
  fetchCandles: (body: CandleFetchRequest) => request<CandleFetch>('/candles/fetch', { method: 'POST', json: body }),
  cancelCandleFetch: (fetch: string) =>
    request<CandleFetch>(`/candles/fetch/${id(fetch)}/cancel`, { method: 'POST', json: {} }),
  datasets: (signal?: Signal) => request<{ items: Dataset[] }>('/datasets', { signal }),
  importCandles: (form: FormData) =>
    request<ImportResult>('/candles/import', { method: 'POST', form, timeoutMs: IMPORT_TIMEOUT_MS }),
}

/** Equity for drawing only: float64 is what marks are. */
function readCurve({ items }: { items: EquityPoint[] }): Curve {
  return {
    time: items.map((point) => Date.parse(point.timestamp)),
    equity: items.map((point) => point.equity),
    drawdown: items.map((point) => point.drawdown),
  }
}

/** Columns when the server put bars together, else single candles. */
function readBars(answer: CandleAnswer): Bars {
  if ('columns' in answer) return { bucketMs: answer.bucket_ms, ...answer.columns }
  const column = (name: 'open' | 'high' | 'low' | 'close' | 'volume') => answer.items.map((item) => Number(item[name]))
  return {
    bucketMs: null,
    time: answer.items.map((item) => Date.parse(item.timestamp)),
    open: column('open'),
    high: column('high'),
    low: column('low'),
    close: column('close'),
    volume: column('volume'),
  }
}
