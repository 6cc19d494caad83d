/** Audits strategies in this process, without database or hosts. */
import { columnsOf } from '../../db/walle/candle_columns.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type AuditOptions, type AuditReport, auditStrategy } from '../../jobs/audit/audit.ts'
import { type AuditParts, playAudit } from '../../jobs/audit/play.ts'
import { fillRequestSchema, resolveFillModel } from '../../jobs/greta/fill_model.ts'
import { ticksOf } from '../../jobs/greta/ticks.ts'
import { windowBarsOf } from '../../jobs/marvin/definition.ts'
import { type Json, type StrategyDefinition, TIMEFRAME_MS } from '../../strategies/api.ts'
import { RUN_ID } from './pure_run.ts'

export interface PureAudit {
  /** Evaluates the strategy's file anew. */
  load: () => StrategyDefinition
  params?: Record<string, Json>
  symbols?: string[]
  bars?: number
  warmup?: number
  instance?: (columns: CandleColumns[]) => AuditParts['instance']
  options?: Partial<AuditOptions>
}

export function auditPure(audit: PureAudit): Promise<AuditReport> {
  const { symbols = ['BTC/USD'], bars = 200, warmup = 60 } = audit
  const definition = audit.load()
  const params = definition.params.parse(audit.params ?? {}) as Record<string, Json>
  const columns = symbols.map((_, seed) =>
    columnsOf(
      generateCandles({ timeframe: '1h', start: 0, bars: warmup + bars, seed, startPrice: 100, volatility: 0.02 }),
    ),
  )
  const spec = {
    ...{ run_id: RUN_ID, symbols, timeframe: '1h' as const, initial_cash: '1000000', risk: {}, params, seed: 3 },
    fill: resolveFillModel(fillRequestSchema.parse({})),
    audit: 'summary' as const,
  }
  const subject = { spec, columns, warmup: symbols.map(() => warmup), windowBars: windowBarsOf(definition, params) }
  const options = { cuts: 8, seed: 1, ...audit.options }
  return auditStrategy(definition.id, subject, options, (play, world) =>
    playAudit(play, {
      data: { columns: world.columns, ticks: ticksOf(world.columns, subject.warmup, TIMEFRAME_MS['1h']) },
      load: async () => audit.load(),
      candles: (symbol, timeframe) => world.fetched(columns[symbols.indexOf(symbol)] as CandleColumns, timeframe),
      beat: () => {},
      instance: audit.instance?.(world.columns),
    }),
  )
}

/** What an audit says, in short: the checks that found something, and those that only noted it. */
export function told({ verdict, checks }: AuditReport) {
  const names = (is: (found: boolean) => boolean) =>
    checks.filter(({ changed, found }) => changed > 0 && is(found)).map(({ check }) => check)
  return { verdict, found: names((found) => found), noted: names((found) => !found) }
}
