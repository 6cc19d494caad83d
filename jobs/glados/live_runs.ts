/** What a paper or live run may ask, and how one is started and asked to stop. Pure. */
import type { NewEvent } from '../../db/events/envelope.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { Mode } from '../../strategies/api.ts'
import { DomainError } from './errors.ts'

/** An exchange as the installation has it. */
export interface Exchange {
  exchange: string
  modes: readonly Mode[]
  /** The modes that it has credentials for. */
  configured: readonly Mode[]
  problems: readonly string[]
}

/** The built-in simulator: what paper runs trade at where nothing else is configured. */
const SIMULATOR = 'sim'

/** Where the run trades: what was asked for, else what there is credentials for. */
export function chooseExchange(exchanges: readonly Exchange[], mode: Mode, asked: string | undefined): string {
  if (asked !== undefined) return checkedExchange(exchanges, mode, asked)
  const configured = exchanges.filter((one) => one.configured.includes(mode))
  const [first] = [
    ...configured.filter(({ exchange }) => exchange !== SIMULATOR),
    ...configured.filter(({ exchange }) => exchange === SIMULATOR),
  ]
  if (first) return first.exchange
  const possible = exchanges.find(({ exchange, modes }) => exchange !== SIMULATOR && modes.includes(mode))
  throw refused(
    mode,
    possible
      ? `no exchange has credentials for ${mode} trading: ${toSet(possible.exchange, mode)}`
      : `no exchange is installed that has ${mode} trading`,
  )
}

function checkedExchange(exchanges: readonly Exchange[], mode: Mode, asked: string): string {
  const known = exchanges.find(({ exchange }) => exchange === asked)
  if (!known) {
    const names = exchanges.map(({ exchange }) => exchange).join(', ')
    throw refused(
      mode,
      `there is no exchange ${asked.slice(0, 40)}: ${names === '' ? 'none is installed' : `known are ${names}`}`,
    )
  }
  if (known.configured.includes(mode)) return asked
  if (known.modes.length > 0 && !known.modes.includes(mode)) {
    const why = asked === SIMULATOR ? ', for it is no real market' : ''
    throw refused(mode, `${asked} has no ${mode} trading${why}: choose another exchange or mode`)
  }
  const problems = known.problems.join('; ')
  throw refused(
    mode,
    problems === ''
      ? `${asked} has no credentials for ${mode} trading: ${toSet(asked, mode)}`
      : `${asked}: ${problems}`,
  )
}

function toSet(exchange: string, mode: Mode): string {
  const prefix = `${exchange.toUpperCase().replaceAll('-', '_')}_${mode.toUpperCase()}`
  return `set ${prefix}_API_KEY and ${prefix}_API_SECRET and start Weaver again`
}

function refused(mode: Mode, message: string): DomainError {
  return new DomainError('INVALID_RUN_MODE', message, { mode })
}

/** Asked of a paper or live run, these would mean nothing. */
const OF_BACKTESTS = ['start_time', 'end_time', 'driver', 'audit'] as const

export function backtestOnly(request: Partial<Record<(typeof OF_BACKTESTS)[number], unknown>>): string | null {
  const values: Readonly<Record<string, unknown>> = { driver: 'chain', audit: 'full' }
  return OF_BACKTESTS.find((name) => request[name] !== undefined && request[name] !== values[name]) ?? null
}

type StopOptions = { cancel_orders: boolean; close_positions: boolean }

/**
 * The run goes on being `running` until it has ended: `veda.end_run` cancels, waits for the venue, and says so. Who asks once
 * more can ask for more, and nothing that somebody asked for is taken back.
 */
export function stopRequested(
  run: RunRow,
  options: StopOptions,
  request: Extract<NewEvent, { type: 'run.StopRequested' }>,
): Outcome {
  const jobs: Outcome['jobs'] = [{ task: 'veda.end_run', payload: { run_id: run.id }, queue: `run:${run.id}` }]
  const before = run.stop_requested as StopOptions | null
  const wanted: StopOptions = {
    cancel_orders: options.cancel_orders || before?.cancel_orders === true,
    close_positions: options.close_positions || before?.close_positions === true,
  }
  const same = before?.cancel_orders === wanted.cancel_orders && before.close_positions === wanted.close_positions
  // A job that was lost meanwhile is there again, and one too many does nothing.
  if (same) return { writes: [], events: [], jobs }
  return {
    writes: [{ kind: 'update_run', id: run.id, changes: { stop_requested: { ...wanted }, last_event_id: request.id } }],
    events: [{ ...request, payload: { ...request.payload, ...wanted } }],
    jobs,
  }
}
