/** A run made of another one, and what differs between them. Pure. */
import type { RunRow } from '../../db/walle/rows.ts'
import type { Json } from '../../strategies/api.ts'
import { type FillRequest, givenNumbers } from '../greta/fill_model.ts'
import type { RunRequest } from './commands.ts'
import type { RiskLimits } from './risk.ts'

/** What is asked of a clone: of the source's request, what is to be different. */
export type CloneRequest = { [Name in keyof RunRequest]?: RunRequest[Name] | undefined }

export interface Difference {
  /** Path of a setting, such as `config.fast`. */
  field: string
  from: Json
  to: Json
}

/** The request that makes the clone. What only backtests, or only paper and live runs have, does not cross over. */
export function cloneRequest(source: RunRow, asked: CloneRequest): RunRequest {
  const mode = asked.mode ?? source.mode
  const wasBacktest = source.mode === 'backtest'
  const isBacktest = mode === 'backtest'
  const given: RunRequest = {
    strategy_id: source.strategy_id,
    mode,
    symbols: source.symbols,
    timeframe: source.timeframe,
    config: source.config,
    initial_cash: source.initial_cash,
    fill: givenNumbers(source.fill) as FillRequest,
    risk: source.own_risk as RiskLimits,
    seed: source.seed,
    missed_ticks: source.missed_ticks,
    bar_wait: source.bar_wait_ms ?? undefined,
    label: source.label ?? undefined,
    ...(wasBacktest &&
      isBacktest && {
        start_time: source.start_time ?? undefined,
        end_time: source.end_time ?? undefined,
        audit: source.audit,
        driver: source.driver,
      }),
    ...(mode === source.mode && !isBacktest && { exchange: source.exchange ?? undefined }),
  }
  const changes = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
  return { ...given, ...changes, ...merged(given, asked) }
}

/** Of parameters, fill model and limits only what is named changes. */
function merged(given: RunRequest, asked: CloneRequest): Partial<RunRequest> {
  return {
    ...(asked.config && { config: { ...given.config, ...asked.config } }),
    ...(asked.fill && { fill: { ...given.fill, ...asked.fill } }),
    ...(asked.risk && { risk: { ...given.risk, ...asked.risk } }),
  }
}

const COMPARED = [
  ...['mode', 'exchange', 'strategy_version', 'strategy_hash', 'symbols', 'timeframe', 'start_time', 'end_time'],
  ...['config', 'initial_cash', 'fill', 'risk', 'audit', 'driver', 'seed', 'missed_ticks', 'bar_wait_ms', 'label'],
  'weaver_version',
] as const

export function differences(from: RunRow, to: RunRow): Difference[] {
  const before = settingsOf(from)
  const after = settingsOf(to)
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((field) => {
    const [one, other] = [before.get(field) ?? null, after.get(field) ?? null]
    return JSON.stringify(one) === JSON.stringify(other) ? [] : [{ field, from: one, to: other }]
  })
}

function settingsOf(run: RunRow): Map<string, Json> {
  const row: Record<string, unknown> = { ...run }
  const settings = new Map<string, Json>()
  for (const field of COMPARED) {
    const value = row[field] as Json
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (!isGroup) settings.set(field, value)
    else for (const [name, inner] of Object.entries(value)) settings.set(`${field}.${name}`, inner)
  }
  return settings
}
