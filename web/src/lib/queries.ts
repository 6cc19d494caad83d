/** Query keys and options. A key's prefix is what an event invalidates (see invalidation.ts). */
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query'
import {
  ApiError,
  api,
  type CandleQuery,
  type DecisionFilter,
  type JobFilter,
  type OrderFilter,
  type RunFilter,
} from './api.ts'
import type { Run } from './types.ts'

export const keys = {
  runs: ['runs'] as const,
  run: (id: string) => ['run', id] as const,
  strategies: ['strategies'] as const,
  datasets: ['datasets'] as const,
  candles: ['candles'] as const,
  positions: ['positions'] as const,
  jobs: ['jobs'] as const,
  accounts: ['accounts'] as const,
  alerts: ['alerts'] as const,
  halts: ['halts'] as const,
  fetches: ['candle-fetches'] as const,
}

const BAND_POLL_MS = 1_000
/** No event tells that a tick is done, nor that its bar was stored. */
const TRADING_POLL_MS = 5_000
const FETCHES_LISTED = 20
const ALERTS_POLL_MS = 15_000
/** Jobs come and go without an event. */
const JOBS_POLL_MS = 2_000

/** Answers of the 4xx kind do not change by asking again. */
export function shouldRetry(failures: number, error: Error): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500) return false
  return failures < 2
}

/** Ticks of the wall clock go on in it. */
export const isTrading = (run: Pick<Run, 'mode' | 'status'>) => run.mode !== 'backtest' && run.status === 'running'
const pollOf = (trading: boolean) => (trading ? TRADING_POLL_MS : false)

type Paging = { page: number; page_size: number }

export const queries = {
  runs: (filter: RunFilter) =>
    queryOptions({
      queryKey: [...keys.runs, filter],
      queryFn: ({ signal }) => api.runs(filter, signal),
      placeholderData: keepPreviousData,
    }),
  run: (id: string) =>
    queryOptions({
      queryKey: [...keys.run(id), 'detail'],
      queryFn: ({ signal }) => api.run(id, signal),
      refetchInterval: ({ state }) => pollOf(state.data !== undefined && isTrading(state.data)),
    }),
  report: (id: string, trading = false) =>
    queryOptions({
      queryKey: [...keys.run(id), 'report'],
      queryFn: ({ signal }) => api.report(id, signal),
      // No event tells of a band: while one is made, it is asked for.
      refetchInterval: ({ state }) => (state.data?.band?.status === 'running' ? BAND_POLL_MS : pollOf(trading)),
    }),
  parity: (id: string) =>
    queryOptions({
      queryKey: [...keys.run(id), 'parity'],
      queryFn: ({ signal }) => api.parity(id, signal),
      // No event tells of a replay: while one is made, it is asked for.
      refetchInterval: ({ state }) => (state.data?.state === 'pending' ? BAND_POLL_MS : false),
    }),
  equity: (id: string, points: number, trading: boolean) =>
    queryOptions({
      queryKey: [...keys.run(id), 'equity', points],
      queryFn: ({ signal }) => api.equity(id, points, signal),
      refetchInterval: pollOf(trading),
    }),
  ticks: (id: string, trading: boolean) =>
    queryOptions({
      queryKey: [...keys.run(id), 'ticks'],
      queryFn: ({ signal }) => api.ticks(id, signal),
      refetchInterval: pollOf(trading),
    }),
  positions: (id: string) =>
    queryOptions({ queryKey: [...keys.positions, id], queryFn: ({ signal }) => api.positions(id, signal) }),
  decisions: (id: string, filter: DecisionFilter, trading: boolean) =>
    queryOptions({
      queryKey: [...keys.run(id), 'decisions', filter],
      queryFn: ({ signal }) => api.decisions(id, filter, signal),
      placeholderData: keepPreviousData,
      refetchInterval: pollOf(trading),
    }),
  accounts: () => queryOptions({ queryKey: keys.accounts, queryFn: ({ signal }) => api.accounts(signal) }),
  /** No event of the stream tells of one. */
  alerts: (query: { run_id?: string; limit?: number } = {}) =>
    queryOptions({
      queryKey: [...keys.alerts, query],
      queryFn: ({ signal }) => api.alerts(query, signal),
      refetchInterval: ALERTS_POLL_MS,
    }),
  halts: () => queryOptions({ queryKey: keys.halts, queryFn: ({ signal }) => api.halts(signal) }),
  candleFetches: () =>
    queryOptions({
      queryKey: keys.fetches,
      queryFn: ({ signal }) => api.candleFetches(FETCHES_LISTED, signal),
      refetchInterval: ({ state }) =>
        state.data?.items.some(({ status }) => status === 'running') ? JOBS_POLL_MS : false,
    }),
  orders: (filter: OrderFilter) =>
    queryOptions({
      queryKey: [...keys.run(filter.run_id), 'orders', filter],
      queryFn: ({ signal }) => api.orders(filter, signal),
      placeholderData: keepPreviousData,
    }),
  jobs: (filter: JobFilter) =>
    queryOptions({
      queryKey: [...keys.jobs, filter],
      queryFn: ({ signal }) => api.jobs(filter, signal),
      placeholderData: keepPreviousData,
      refetchInterval: JOBS_POLL_MS,
    }),
  pauses: () =>
    queryOptions({
      queryKey: [...keys.jobs, 'pauses'],
      queryFn: ({ signal }) => api.pauses(signal),
      refetchInterval: JOBS_POLL_MS,
    }),
  trace: (order: string) =>
    queryOptions({ queryKey: ['trace', order], queryFn: ({ signal }) => api.trace(order, signal) }),
  fills: (id: string, paging: Paging) =>
    queryOptions({
      queryKey: [...keys.run(id), 'fills', paging],
      queryFn: ({ signal }) => api.fills(id, paging, signal),
      placeholderData: keepPreviousData,
    }),
  /** The fills to be drawn, oldest first. */
  chartFills: (id: string, limit: number) =>
    queryOptions({
      queryKey: [...keys.run(id), 'fills', 'chart', limit],
      queryFn: ({ signal }) => api.chartFills(id, limit, signal),
    }),
  trades: (id: string, paging: Paging) =>
    queryOptions({
      queryKey: [...keys.run(id), 'trades', paging],
      queryFn: ({ signal }) => api.trades(id, paging, signal),
      placeholderData: keepPreviousData,
    }),
  events: (id: string, paging: Paging) =>
    queryOptions({
      queryKey: [...keys.run(id), 'events', paging],
      queryFn: ({ signal }) => api.events(id, paging, signal),
      placeholderData: keepPreviousData,
    }),
  candles: (query: CandleQuery, trading: boolean) =>
    queryOptions({
      queryKey: [...keys.candles, query],
      queryFn: ({ signal }) => api.candles(query, signal),
      refetchInterval: pollOf(trading),
    }),
  strategies: () => queryOptions({ queryKey: keys.strategies, queryFn: ({ signal }) => api.strategies(signal) }),
  datasets: () => queryOptions({ queryKey: keys.datasets, queryFn: ({ signal }) => api.datasets(signal) }),
  info: () => queryOptions({ queryKey: ['info'], queryFn: ({ signal }) => api.info(signal), staleTime: Infinity }),
}
