/** `weaver trace`: how an order came about and what became of it. */
import type { Hop, OrderTrace } from '../../db/walle/queries/trace.ts'
import { openControl } from '../control.ts'
import { DomainError } from '../glados/errors.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface TraceOptions {
  json: boolean
}

export async function traceCommand(context: CliContext, order: string, options: TraceOptions): Promise<number> {
  return withSystem(context, 'trace', async (system) => {
    const control = await openControl(system, { workers: false })
    try {
      const trace = await control.tracer.trace(order)
      context.print(options.json ? JSON.stringify(trace) : traceText(trace))
      return 0
    } catch (error) {
      if (error instanceof DomainError) throw new CliError(error.message)
      throw error
    } finally {
      await control.close()
    }
  })
}

function traceText({ order, derived, hops }: OrderTrace): string {
  const source = derived ? 'derived by playing the run again: no times of its own' : 'from the log'
  return [
    `order ${order.client_order_id} (${order.id}), ${order.status}, of run ${order.run_id}; ${source}`,
    ...hops.map((hop) => line(hop, hops)),
  ].join('\n')
}

/** A cause that is not the hop before is named. */
function line(hop: Hop, hops: readonly Hop[]): string {
  const before = hops[hop.n - 2]
  const cause = hops.find(({ event_id }) => event_id === hop.causation_id)
  const aside = cause && cause !== before ? `  (from ${cause.n})` : ''
  const latency = hop.latency_ms === null ? '' : `+${hop.latency_ms.toFixed(1)} ms`
  const place = String(hop.n).padStart(3)
  return `${place}  ${hop.at}  ${latency.padStart(12)}  ${hop.type.padEnd(24)}  ${hop.summary}${aside}`
}
