/** Every link of the page is built here; a view's state is in its query. */

type Query = Record<string, string | number | null | undefined>

export function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value))
  }
  const text = search.toString()
  return text === '' ? path : `${path}?${text}`
}

/** The same view with some of its state changed; null or '' removes a key, keys it does not know are kept. */
export function changed(url: { pathname: string; search: string }, changes: Query): string {
  const search = new URLSearchParams(url.search)
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') search.delete(key)
    else search.set(key, String(value))
  }
  const text = search.toString()
  return text === '' ? url.pathname : `${url.pathname}?${text}`
}

export const routes = {
  runs: (query: { status?: string; mode?: string; strategy?: string; page?: number } = {}) => withQuery('/runs', query),
  newRun: (query: { from?: string; mode?: string; strategy?: string; symbol?: string; timeframe?: string } = {}) =>
    withQuery('/runs/new', query),
  run: (id: string, query: { tab?: string } = {}) => withQuery(`/runs/${encodeURIComponent(id)}`, query),
  /** A page of its own, made by the server: to read, to print, to send. */
  report: (id: string) => `/api/v1/runs/${encodeURIComponent(id)}/report?format=html`,
  order: (id: string) => `/orders/${encodeURIComponent(id)}`,
  strategies: () => '/strategies',
  accounts: () => '/accounts',
  alerts: () => '/alerts',
  data: () => '/data',
  jobs: (query: { state?: string; task?: string; run?: string; page?: number } = {}) => withQuery('/jobs', query),
  about: () => '/about',
  apiDocs: () => '/docs',
}
