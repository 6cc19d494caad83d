/**
 * How an order came about, hop by hop: from the log, or where a backtest left only its rows by playing its record once
 * more. Ids follow from run, tick and place, so what is derived has the ids that the log would have had.
 */
import type { Reader } from '../../db/database.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { findOrder, type Hop, hopsOf, listFamily, loggedHops, type OrderTrace } from '../../db/walle/queries/trace.ts'
import type { OrderRow, RunRow } from '../../db/walle/rows.ts'
import { createRunDataCache, isUnusable, type LoadedRun } from '../backtest/run_data.ts'
import { DomainError } from '../glados/errors.ts'
import type { HostRuns } from '../hosts/client.ts'
import type { ReplayAnswer } from '../hosts/runs.ts'
import { StrategyFailure } from '../marvin/failure.ts'

/** Replays at a time in one process: each takes a strategy host from the backtests for seconds. */
const MOST_REPLAYS = 2

export interface Tracer {
  /** By id or client_order_id. Throws a DomainError that says why, where there is no telling. */
  trace(order: string): Promise<OrderTrace>
}

export interface TracerOptions {
  reader: Reader
  replay: HostRuns['replay']
  version: string
}

export function createTracer(options: TracerOptions): Tracer {
  const { reader } = options
  let replaying = 0
  return {
    async trace(given) {
      const order = await findOrder(reader, given)
      if (!order) throw new DomainError('NOT_FOUND', `there is no order ${given.slice(0, 100)}`)
      const logged = await loggedHops(reader, order.id)
      if (isWhole(logged, order)) return { order, derived: false, hops: logged }
      if (replaying >= MOST_REPLAYS) {
        const message = `${replaying} traces are being derived already: ask again when they are done`
        throw new DomainError('RATE_LIMITED', message, { limit: MOST_REPLAYS })
      }
      replaying += 1
      try {
        return { order, derived: true, hops: await derive(options, order) }
      } finally {
        replaying -= 1
      }
    },
  }
}

/** From a root to the order's last event. */
function isWhole(hops: readonly Hop[], order: OrderRow): boolean {
  const [first] = hops
  return first?.causation_id === null && hops.some((hop) => hop.event_id === order.last_event_id)
}

async function derive(options: TracerOptions, order: OrderRow): Promise<Hop[]> {
  const { reader, replay, version } = options
  const run = await getRun(reader, order.run_id)
  if (!run) throw new DomainError('NOT_FOUND', `the run ${order.run_id} of the order is gone`)
  mustBeDerivable(run)
  const data = await loadAgain(reader, run)
  const family = await listFamily(reader, order)
  const wanted = wantedOf(order, family, data)
  const answer = await replay(run, data, wanted).catch((error: unknown) => {
    if (!(error instanceof StrategyFailure)) throw error
    throw refused(run, `its strategy fails when it is played again: ${error.message}`)
  })
  if (!tellsOf(answer, order)) {
    if (answer.late) throw refused(run, 'playing it again takes too long')
    const versions =
      run.weaver_version === version ? '' : `: it was made by Weaver ${run.weaver_version}, this is ${version}`
    throw refused(run, `played again, it takes another course than its record${versions}`)
  }
  return hopsOf(reader, answer.events, order.id)
}

function refused(run: RunRow, why: string): DomainError {
  const message = `the log does not hold the order's events and they cannot be derived: the run ${run.id}: ${why}`
  return new DomainError('CONFLICT', message, { run_id: run.id, status: run.status })
}

function mustBeDerivable(run: RunRow): void {
  if (run.mode !== 'backtest') {
    const why = `only backtests are played again, and of a ${run.mode} run events leave the log after WEAVER_AUDIT_DAYS`
    throw refused(run, why)
  }
  if (run.status === 'running' || run.status === 'pending') {
    throw refused(run, `it is ${run.status}: wait for its end, or stop it`)
  }
}

/** Not from a cache: it is today's candles that must be the run's. */
async function loadAgain(reader: Reader, run: RunRow): Promise<LoadedRun> {
  return createRunDataCache(reader)(run).catch((error: unknown) => {
    if (!isUnusable(error)) throw error
    throw refused(run, 'its candles were revised since: run it again on the new ones')
  })
}

/** The tick that placed the order, those that ended orders of its family, and up to where the replay must go. */
function wantedOf(order: OrderRow, family: readonly OrderRow[], data: LoadedRun) {
  const tickAt = (time: string) => data.ticks.indexOf(Date.parse(time))
  const ticks = new Set([tickAt(order.placed_at)])
  let last = tickAt(order.placed_at)
  for (const one of family) {
    if (one.status === 'cancelled' && one.closed_at !== null) ticks.add(tickAt(one.closed_at))
    last = Math.max(last, ...[one.submitted_at, one.filled_at, one.closed_at].map((time) => (time ? tickAt(time) : 0)))
  }
  return { ticks: [...ticks].sort((a, b) => a - b), corr_id: order.corr_id, to: last + 1 }
}

function tellsOf({ events }: ReplayAnswer, order: OrderRow): boolean {
  const last = events.find((event) => event.id === order.last_event_id)
  return last !== undefined && (last.payload as { order_id?: string }).order_id === order.id
}
