/** What this API process counts of its own: requests and streams. */
import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ApiDependencies } from './dependencies.ts'
import type { ApiEnv } from './router.ts'
import type { SseHub } from './sse.ts'

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Anything else that a client may invent is one label. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export interface HttpMetrics {
  middleware: MiddlewareHandler<ApiEnv>
  text(): Promise<string>
}

export function createHttpMetrics(hub: Pick<SseHub, 'counts'>, { clock }: Pick<ApiDependencies, 'clock'>): HttpMetrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    name: 'weaver_process_http_request_duration_seconds',
    help: 'From a request to the head of its answer, by route',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers,
  })
  const streams = createStreamMetrics(registers)
  return {
    async middleware(c, next) {
      const start = clock.now()
      await next()
      const method = METHODS.has(c.req.method) ? c.req.method : 'other'
      // The route's pattern: paths hold ids, of which there is no end.
      requests.observe({ method, route: routePath(c), status: c.res.status }, (clock.now() - start) / 1000)
    },
    async text() {
      streams(hub.counts())
      return registry.metrics()
    },
  }
}

function createStreamMetrics(registers: Registry[]): (counts: ReturnType<SseHub['counts']>) => void {
  const gauge = (name: string, help: string) => new Gauge({ name: `weaver_process_sse_${name}`, help, registers })
  const counter = (name: string, help: string) => new Counter({ name: `weaver_process_sse_${name}`, help, registers })
  const open = gauge('clients', 'Open event streams')
  const most = gauge('clients_most', 'Open event streams there may be')
  const behind = gauge('behind', 'Events between the newest one and the slowest stream')
  const opened = counter('opened_total', 'Event streams that were opened')
  const refused = counter('refused_total', 'Event streams that were refused: too many, or Weaver is stopping')
  const resets = counter('resets_total', 'Times a stream was told that it cannot go on where it was')
  const ended = new Counter({
    name: 'weaver_process_sse_ended_total',
    help: 'Event streams that ended, by why; stalled: the client took nothing',
    labelNames: ['why'],
    registers,
  })
  const set = (metric: Counter, value: number) => {
    metric.reset()
    metric.inc(value)
  }
  return (counts) => {
    open.set(counts.open)
    most.set(counts.most)
    behind.set(counts.behind)
    set(opened, counts.opened)
    set(refused, counts.refused)
    set(resets, counts.resets)
    ended.reset()
    for (const [why, count] of Object.entries(counts.ended)) ended.inc({ why }, count)
  }
}
