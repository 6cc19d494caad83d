/**
 * GLaDOS's commands: what a person may ask of runs and candles. Each decides and gives an Outcome; WallE records it in
 * one transaction with its events. The API and the CLI both call these.
 */

import type { Reader } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { getBand } from '../../db/walle/queries/bands.ts'
import { openPositions, openSentOrders } from '../../db/walle/queries/live_runs.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import type { BandRow, NewRun, RunRow, StrategySourceRow } from '../../db/walle/rows.ts'
import type { Json, Mode, Timeframe } from '../../strategies/api.ts'
import { type FillRequest, fillRequestSchema, resolveFillModel } from '../greta/fill_model.ts'
import { type CloneRequest, cloneRequest, type Difference, differences } from './clone_run.ts'
import { DomainError } from './errors.ts'
import { backtestOnly, chooseExchange, type Exchange, stopRequested } from './live_runs.ts'
import { type HeldLimits, NEEDED_LIVE, type RiskLimits, riskSchema, strictest } from './risk.ts'
import { checkCandles } from './run_candles.ts'

/** The body of POST /runs, validated in shape. */
export interface RunRequest {
  strategy_id: string
  mode: Mode
  symbols: string[]
  timeframe: Timeframe
  /** ISO 8601 UTC. */
  start_time?: string | undefined
  end_time?: string | undefined
  config?: Record<string, Json> | undefined
  /** The parameters come from a command line, as text. */
  config_from_text?: boolean
  exchange?: string | undefined
  initial_cash?: string | number | undefined
  fill?: FillRequest | undefined
  risk?: RiskLimits | undefined
  audit?: RunRow['audit'] | undefined
  driver?: RunRow['driver'] | undefined
  seed?: number | undefined
  missed_ticks?: RunRow['missed_ticks'] | undefined
  bar_wait?: number | undefined
  label?: string | undefined
}

export interface CommandContext {
  corrId: string
}

/** What GLaDOS needs to know of a strategy to make a run of it. */
export interface ResolvedStrategy {
  version: string
  source: StrategySourceRow
  params: Record<string, Json>
  window_bars: number
}

export interface CommandDependencies {
  /** Records an outcome in one transaction; the work reads in that transaction. */
  recorder: <T>(work: (reader: Reader) => Promise<{ outcome: Outcome; result: T }>) => Promise<T>
  reader: Reader
  /** Throws a DomainError for an unknown strategy, one that does not load, or parameters that do not fit. */
  resolveStrategy: (id: string, given: { params: Record<string, Json>; fromText: boolean }) => Promise<ResolvedStrategy>
  /** Epoch milliseconds. */
  now: () => number
  newId: () => string
  version: string
  /** The installation's limits, which no run loosens. */
  limits: RiskLimits
  /** Where paper and live runs may trade. */
  exchanges: () => readonly Exchange[]
}

export const DEFAULT_CASH = '100000'
export const MAX_SYMBOLS = 50
/** As many digits as the account's floats and decimals keep apart. */
const CASH = /^\d{1,15}(\.\d{1,12})?$/

export function createCommands(deps: CommandDependencies) {
  return {
    createRun: (request: RunRequest, context: CommandContext) => createRun(deps, request, context),
    cloneRun: (id: string, request: CloneRequest, context: CommandContext) => cloneRun(deps, id, request, context),
    startRun: (id: string, context: CommandContext) => startRun(deps, id, context),
    stopRun: (id: string, options: { cancel_orders: boolean; close_positions: boolean }, context: CommandContext) =>
      stopRun(deps, id, options, context),
    deleteRun: (id: string, context: CommandContext) => deleteRun(deps, id, context),
    requestBand: (id: string) => requestBand(deps, id),
  }
}

export type RunCommands = ReturnType<typeof createCommands>

async function createRun(deps: CommandDependencies, request: RunRequest, context: CommandContext): Promise<RunRow> {
  const range = request.mode === 'backtest' ? checkRequest(request) : null
  const own = strictest(parsed('risk', riskSchema.safeParse(request.risk ?? {})), {})
  const risk = strictest(own, deps.limits)
  const exchange = request.mode === 'backtest' ? null : checkLiveRequest(deps, request, risk)
  const fill = parsed('fill', fillRequestSchema.safeParse(request.fill ?? {}))
  const strategy = await deps.resolveStrategy(request.strategy_id, {
    params: request.config ?? {},
    fromText: request.config_from_text ?? false,
  })
  if (range !== null) await checkCandles(deps.reader, request, range)
  const isChain = range === null || request.driver === 'chain'
  const id = deps.newId()
  const eventId = deps.newId()
  const run: NewRun = {
    id,
    strategy_id: request.strategy_id,
    strategy_version: strategy.version,
    strategy_hash: strategy.source.hash,
    mode: request.mode,
    exchange,
    symbols: request.symbols,
    timeframe: request.timeframe,
    start_time: range && new Date(range.start).toISOString(),
    end_time: range && new Date(range.end).toISOString(),
    config: strategy.params,
    initial_cash: String(request.initial_cash ?? DEFAULT_CASH),
    fill: { ...resolveFillModel(fill) },
    risk: risk as HeldLimits,
    own_risk: own as HeldLimits,
    audit: isChain ? 'full' : (request.audit ?? 'summary'),
    driver: isChain ? 'chain' : 'chunk',
    seed: request.seed ?? 0,
    missed_ticks: request.missed_ticks ?? 'skip',
    bar_wait_ms: request.bar_wait ?? null,
    label: request.label ?? null,
    weaver_version: deps.version,
    dataset_fingerprint: null,
    window_bars: strategy.window_bars,
    last_event_id: eventId,
  }
  const created = runEvent(deps, run.id, context, eventId, 'run.Created', {
    run_id: id,
    strategy_id: run.strategy_id,
    mode: run.mode,
    symbols: run.symbols,
    timeframe: run.timeframe,
    label: run.label,
  })
  await deps.recorder(async () => ({
    outcome: {
      writes: [
        { kind: 'store_source', source: strategy.source },
        { kind: 'create_run', run },
      ],
      events: [created],
    },
    result: null,
  }))
  return mustExist(await getRun(deps.reader, id), id)
}

interface Range {
  start: number
  end: number
}

/** What a paper or live run may ask. Gives its exchange. */
function checkLiveRequest(deps: CommandDependencies, request: RunRequest, limits: RiskLimits): string {
  const exchange = chooseExchange(deps.exchanges(), request.mode, request.exchange)
  const field = backtestOnly(request)
  if (field !== null) throw invalid(field, `a ${request.mode} run has no ${field}: leave it out`)
  checkShape(request)
  if (request.mode === 'live') checkLimited(limits)
  return exchange
}

/** Real money does not trade without a limit on an order and on a day. */
function checkLimited(limits: RiskLimits): void {
  for (const limit of NEEDED_LIVE) {
    if (limits[limit] != null) continue
    const everywhere = `WEAVER_RISK_${limit.toUpperCase()}`
    throw invalid(`risk.${limit}`, `a live run needs ${limit}: set risk.${limit}, or ${everywhere} for every run`)
  }
}

/** What a backtest of this shape may ask. Gives its range. */
export function checkRequest(request: RunRequest): Range {
  if (request.mode !== 'backtest') {
    throw new DomainError('INVALID_RUN_MODE', `mode ${request.mode}: this is for backtests`, { mode: request.mode })
  }
  if (request.exchange !== undefined) {
    throw new DomainError('INVALID_RUN_MODE', 'a backtest has no exchange: leave `exchange` out', {
      exchange: request.exchange,
    })
  }
  checkShape(request)
  if (request.start_time === undefined) throw invalid('start_time', 'a backtest needs start_time and end_time')
  if (request.end_time === undefined) throw invalid('end_time', 'a backtest needs start_time and end_time')
  const start = Date.parse(request.start_time)
  const end = Date.parse(request.end_time)
  if (start > end) {
    throw invalid('start_time', `start_time ${request.start_time} is after end_time ${request.end_time}`)
  }
  return { start, end }
}

function checkShape(request: RunRequest): void {
  if (request.symbols.length === 0) throw invalid('symbols', 'a run needs at least one symbol, such as BTC/USD')
  if (request.symbols.length > MAX_SYMBOLS) {
    throw invalid('symbols', `at most ${MAX_SYMBOLS} symbols a run, ${request.symbols.length} given`)
  }
  if (new Set(request.symbols).size !== request.symbols.length)
    throw invalid('symbols', `a symbol is named twice: ${request.symbols.join(', ')}`)
  const cash = request.initial_cash
  if (cash !== undefined && !CASH.test(String(cash))) {
    throw invalid(
      'initial_cash',
      `initial_cash ${String(cash).slice(0, 40)} is not a plain positive number such as 100000`,
    )
  }
  if (cash !== undefined && Number(cash) <= 0) throw invalid('initial_cash', `initial_cash ${cash} must be more than 0`)
}

/** A pending run like another one, but for what is asked to be different. */
async function cloneRun(
  deps: CommandDependencies,
  id: string,
  request: CloneRequest,
  context: CommandContext,
): Promise<{ run: RunRow; differences: Difference[] }> {
  const source = mustExist(await getRun(deps.reader, id), id)
  const run = await createRun(deps, cloneRequest(source, request), context)
  return { run, differences: differences(source, run) }
}

async function startRun(deps: CommandDependencies, id: string, context: CommandContext): Promise<RunRow> {
  await deps.recorder(async (reader) => {
    const run = mustExist(await lockRun(reader, id), id)
    if (run.status !== 'pending') {
      throw new DomainError('RUN_NOT_STARTABLE', `run ${id} is ${run.status}: only a pending run can be started`, {
        status: run.status,
      })
    }
    // The installation's may have changed since the run was made.
    const risk = strictest(run.own_risk as RiskLimits, deps.limits)
    if (run.mode === 'live') checkLimited(risk)
    const eventId = deps.newId()
    const started = runEvent(
      deps,
      id,
      context,
      eventId,
      'run.Started',
      { run_id: id, mode: run.mode, risk: risk as HeldLimits },
      run.last_event_id,
    )
    return {
      outcome: {
        writes: [
          {
            kind: 'update_run',
            id,
            changes: {
              status: 'running',
              started_at: started.ts,
              risk: risk as HeldLimits,
              last_event_id: eventId,
              // Between the ticks of a paper or live run none is open.
              ...(run.mode === 'backtest' && { open_corr_id: context.corrId }),
            },
          },
        ],
        events: [started],
        jobs: [
          {
            task: run.mode === 'backtest' ? 'greta.start_run' : 'veda.start_run',
            payload: { run_id: id },
            queue: `run:${id}`,
          },
        ],
      },
      result: null,
    }
  })
  return mustExist(await getRun(deps.reader, id), id)
}

async function stopRun(
  deps: CommandDependencies,
  id: string,
  options: { cancel_orders: boolean; close_positions: boolean },
  context: CommandContext,
): Promise<RunRow> {
  await deps.recorder(async (reader) => {
    const run = mustExist(await lockRun(reader, id), id)
    if (run.status === 'pending') {
      throw new DomainError('RUN_NOT_STOPPABLE', `run ${id} has not been started; delete it instead`, {
        status: run.status,
      })
    }
    if (run.status !== 'running') return { outcome: { writes: [], events: [] }, result: null }
    return { outcome: stopOutcome(deps, run, options, context), result: null }
  })
  return mustExist(await getRun(deps.reader, id), id)
}

/** What somebody who stops a run sets off: the end of a backtest, the beginning of the end of any other. */
export function stopOutcome(
  deps: Pick<CommandDependencies, 'now' | 'newId'>,
  run: RunRow,
  options: { cancel_orders: boolean; close_positions: boolean },
  context: CommandContext,
): Outcome {
  const { id } = run
  const requestId = deps.newId()
  const stoppedId = deps.newId()
  const payload = { run_id: id, ...options }
  const request = runEvent(deps, id, context, requestId, 'run.StopRequested', payload, run.last_event_id)
  if (run.mode !== 'backtest') return stopRequested(run, options, request)
  const stopped = runEvent(deps, id, context, stoppedId, 'run.Stopped', { run_id: id }, requestId)
  return {
    writes: [
      {
        kind: 'update_run',
        id,
        changes: { status: 'stopped', stopped_at: stopped.ts, stop_requested: options, last_event_id: stoppedId },
      },
      { kind: 'drop_checkpoint', run_id: id },
    ],
    events: [request, stopped],
  }
}

async function deleteRun(deps: CommandDependencies, id: string, context: CommandContext): Promise<void> {
  await deps.recorder(async (reader) => {
    const run = mustExist(await lockRun(reader, id), id)
    if (run.status === 'running') {
      throw new DomainError('CONFLICT', `run ${id} is running: stop it before deleting it`, { status: run.status })
    }
    if (run.archived_at !== null) return { outcome: { writes: [], events: [] }, result: null }
    const deleted = runEvent(deps, id, context, deps.newId(), 'run.Deleted', { run_id: id }, run.last_event_id)
    const archive = { kind: 'update_run', id, changes: { archived_at: deleted.ts } } as const
    const write = (await isKept(reader, run)) ? archive : ({ kind: 'delete_run', id } as const)
    return { outcome: { writes: [write], events: [deleted] }, result: null }
  })
}

/** Of real money nothing is forgotten, nor what still has something at its venue. */
async function isKept(reader: Reader, run: RunRow): Promise<boolean> {
  if (run.mode !== 'paper') return run.mode === 'live'
  const held = [...(await openPositions(reader, run.id)), ...(await openSentOrders(reader, run.id))]
  return held.length > 0
}

/** Sets off the assumption band of a completed backtest, once: it always comes out the same. One that failed is tried anew. */
async function requestBand(deps: CommandDependencies, id: string): Promise<BandRow> {
  await deps.recorder(async (reader) => {
    const run = mustExist(await lockRun(reader, id), id)
    if (run.mode !== 'backtest' || run.status !== 'completed') {
      const message = `run ${id} is ${run.status}: an assumption band is made of a completed backtest`
      throw new DomainError('CONFLICT', message, { status: run.status })
    }
    const known = await getBand(reader, id)
    if (known && known.status !== 'error') return { outcome: { writes: [], events: [] }, result: null }
    return {
      outcome: {
        writes: [{ kind: 'save_band', run_id: id, status: 'running', progress: 0, result: null, error: null }],
        events: [],
        jobs: [{ task: 'greta.run_band', payload: { run_id: id }, queue: `run:${id}` }],
      },
      result: null,
    }
  })
  const band = await getBand(deps.reader, id)
  if (!band) throw new DomainError('NOT_FOUND', `there is no run ${id}`, {})
  return band
}

type RunEventType = Extract<NewEvent['type'], `run.${string}`>

export function runEvent<T extends RunEventType>(
  deps: Pick<CommandDependencies, 'now'>,
  runId: string,
  context: CommandContext,
  id: string,
  type: T,
  payload: Extract<NewEvent, { type: T }>['payload'],
  cause: string | null = null,
): Extract<NewEvent, { type: T }> {
  return {
    id,
    type,
    run_id: runId,
    corr_id: context.corrId,
    causation_id: cause,
    ts: new Date(deps.now()).toISOString(),
    producer: 'glados',
    payload,
  } as Extract<NewEvent, { type: T }>
}

function mustExist(run: RunRow | null, id: string): RunRow {
  if (!run) throw new DomainError('NOT_FOUND', `there is no run ${id}`, {})
  return run
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('VALIDATION_ERROR', message, { issues: [{ path: field, message }] })
}

interface Parse<T> {
  success: boolean
  data?: T
  error?: { issues: { path: PropertyKey[]; message: string }[] } | undefined
}

function parsed<T>(field: string, result: Parse<T>): T {
  if (result.success) return result.data as T
  const issues = (result.error?.issues ?? []).map((issue) => ({
    path: [field, ...issue.path].join('.'),
    message: issue.message,
  }))
  throw new DomainError('VALIDATION_ERROR', issues.map((issue) => `${issue.path}: ${issue.message}`).join('; '), {
    issues,
  })
}
