/** Query keys and options. A key's prefix is what an event invalidates (see invalidation.ts). */
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query'
import { ApiError, api, type CandleQuery, type JobFilter, type OrderFilter, type RunFilter } from './api.ts'

export const keys = {
  runs: ['runs'] as const,
  run: (id: string) => ['run', id] as const,
  strategies: ['strategies'] as const,
  datasets: ['datasets'] as const,
  candles: ['candles'] as const,
  jobs: ['jobs'] as const,
}

const BAND_POLL_MS = 1_000
/** Jobs come and go without an event. */
const JOBS_POLL_MS = 2_000

/** Answers of the 4xx kind do not change by asking again. */
export function shouldRetry(failures: number, error: Error): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500) return false
  return failures < 2
}

type Paging = { page: number; page_size: number }

export const queries = {
  runs: (filter: RunFilter) =>
    queryOptions({
      queryKey: [...keys.runs, filter],
      queryFn: ({ signal }) => api.runs(filter, signal),
      placeholderData: keepPreviousData,
    }),
  run: (id: string) =>
    queryOptions({ queryKey: [...keys.run(id), 'detail'], queryFn: ({ signal }) => api.run(id, signal) }),
  report: (id: string) =>
    queryOptions({
      queryKey: [...keys.run(id), 'report'],
      queryFn: ({ signal }) => api.report(id, signal),
      // No event tells of a band: while one is made, it is asked for.
      refetchInterval: ({ state }) => (state.data?.band?.status === 'running' ? BAND_POLL_MS : false),
    }),
  equity: (id: string, points: number) =>
    queryOptions({
      queryKey: [...keys.run(id), 'equity', points],
      queryFn: ({ signal }) => api.equity(id, points, signal),
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
  candles: (query: CandleQuery) =>
    queryOptions({ queryKey: [...keys.candles, query], queryFn: ({ signal }) => api.candles(query, signal) }),
  strategies: () => queryOptions({ queryKey: keys.strategies, queryFn: ({ signal }) => api.strategies(signal) }),
  datasets: () => queryOptions({ queryKey: keys.datasets, queryFn: ({ signal }) => api.datasets(signal) }),
  info: () => queryOptions({ queryKey: ['info'], queryFn: ({ signal }) => api.info(signal), staleTime: Infinity }),
}
