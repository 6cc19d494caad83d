/** `weaver audit`: plays a strategy under conditions that must not matter, and prints which decisions changed. */
import type { Timeframe } from '../../strategies/api.ts'
import type { AuditReport, CheckReport } from '../audit/audit.ts'
import { runAudit } from '../audit/run.ts'
import { openControl, openHosts, resolveStrategy } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { checkRequest, DEFAULT_CASH } from '../glados/commands.ts'
import { DomainError } from '../glados/errors.ts'
import { fillRequestSchema, resolveFillModel } from '../greta/fill_model.ts'
import { materialise } from '../marvin/sources.ts'
import type { System } from '../system.ts'
import { rangeOf, seedOf } from './backtest.ts'
import { type CliContext, CliError, withSystem } from './context.ts'
import { progressBar } from './progress.ts'

export interface AuditCommandOptions {
  symbol: string[]
  timeframe: Timeframe
  start?: string
  end?: string
  param?: Record<string, string>
  fill?: Record<string, string>
  cuts: string
  seed: string
  json: boolean
}

const MOST_CUTS = 1_000
/** Changes of a check that a terminal shows; --json has them all. */
const SHOWN = 5

/** 0: clean. 1: something was found, or the strategy could not be played. */
export async function auditCommand(
  context: CliContext,
  strategyId: string,
  options: AuditCommandOptions,
): Promise<number> {
  const cuts = cutsOf(options.cuts)
  const report = await withSystem(context, 'audit', (system) => audit(system, strategyId, options, cuts))
  context.print(options.json ? JSON.stringify(report) : textOf(report))
  return report.verdict === 'clean' ? 0 : 1
}

function cutsOf(text: string): number {
  const cuts = Number(text)
  if (!Number.isInteger(cuts) || cuts < 1 || cuts > MOST_CUTS) {
    throw new CliError(`--cuts must be a whole number from 1 to ${MOST_CUTS}`, 2)
  }
  return cuts
}

async function audit(
  system: System,
  strategyId: string,
  options: AuditCommandOptions,
  cuts: number,
): Promise<AuditReport> {
  const { db, config } = system
  const fill = fillRequestSchema.safeParse(options.fill ?? {})
  if (!fill.success) {
    throw new CliError(fill.error.issues.map(({ path, message }) => `fill.${path.join('.')}: ${message}`).join('; '))
  }
  const seed = seedOf(options.seed)
  const given = await rangeOf(db.reader, config.timezone, options)
  const control = await openControl(system, { workers: false })
  const bar = progressBar('audit')
  let plays = 0
  try {
    const { symbol: symbols, timeframe } = options
    const range = checkRequest({ strategy_id: strategyId, mode: 'backtest', symbols, timeframe, ...given })
    const strategy = await resolveStrategy(control.catalog, strategyId, { params: options.param ?? {}, fromText: true })
    return await runAudit(
      {
        strategyId,
        entry: await materialise(strategy.source, config.dataDir),
        windowBars: strategy.window_bars,
        spec: {
          ...{ run_id: wallClock.newId(), symbols, timeframe },
          ...{ initial_cash: DEFAULT_CASH, fill: resolveFillModel(fill.data), risk: config.risk },
          ...{ params: strategy.params, seed, audit: 'summary' },
        },
        range,
        options: { cuts, seed },
      },
      {
        reader: db.reader,
        hosts: control.hosts,
        newHosts: () => openHosts(system, 1),
        // Two whole plays, three for every cut, and a handful more.
        onPlay: () => bar.show(Math.min(1, plays++ / (cuts * 3 + 8))),
      },
    )
  } catch (error) {
    if (error instanceof DomainError) throw new CliError(error.message)
    throw error
  } finally {
    bar.end()
    await control.close()
  }
}

function textOf(report: AuditReport): string {
  const { strategy_id, symbols, timeframe, ticks, decisions, cuts, seed, verdict, failure } = report
  const head = `${strategy_id} on ${symbols.join(', ')} ${timeframe}: ${ticks} ticks, ${decisions} with a decision, ${cuts.length} cuts (seed ${seed})`
  if (failure !== null) return `${head}\n\nnot audited: the strategy failed: ${failure}`
  const words = verdict === 'clean' ? 'clean: no decision hung on what must not matter' : 'found: see above'
  return [head, '', ...report.checks.flatMap(linesOf), '', words].join('\n')
}

function linesOf({ asks, plays, ticks, changed, found, means, changes }: CheckReport): string[] {
  const mark = plays === 0 ? 'none' : found ? 'FAIL' : changed > 0 ? 'note' : 'ok'
  const line = `${mark.padEnd(5)} ${asks}: ${changed} of ${ticks} ticks decided otherwise`
  if (plays === 0) return [`${mark.padEnd(5)} ${asks}: does not apply here`]
  if (changed === 0) return [line]
  const shown = changes
    .slice(0, SHOWN)
    .flatMap(({ bar_index, ts, was, is, differs }) => [
      `        tick ${bar_index} ${ts}`,
      `          was ${was}`,
      `          is  ${is}`,
      ...(differs.length > 0 ? [`          ${differs.join(', ')}`] : []),
    ])
  const rest = changed > SHOWN ? [`        and ${changed - SHOWN} more (--json has them)`] : []
  return [line, `      ${means}`, ...shown, ...rest]
}
