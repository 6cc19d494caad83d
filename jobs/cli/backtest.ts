/** `weaver backtest`: makes a run, lets the workers play it, prints its report. */

import type { Reader } from '../../db/database.ts'
import { candleRange } from '../../db/walle/queries/candles.ts'
import { listFills } from '../../db/walle/queries/results.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { FillRow, RunRow } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { DomainError } from '../glados/errors.ts'
import type { FillRequest } from '../greta/fill_model.ts'
import type { System } from '../system.ts'
import { type CliContext, CliError, withSystem } from './context.ts'
import { progressBar } from './progress.ts'
import { reportText } from './report_text.ts'
import { timeOf } from './times.ts'

export interface BacktestOptions {
  symbol: string[]
  timeframe: Timeframe
  start?: string
  end?: string
  param?: Record<string, string>
  fill?: Record<string, string>
  cash?: string
  seed?: string
  label?: string
  audit?: RunRow['audit']
  driver?: RunRow['driver']
  json: boolean
}

const LOOK_MS = 50

export async function backtestCommand(
  context: CliContext,
  strategyId: string,
  options: BacktestOptions,
): Promise<number> {
  return withSystem(context, 'backtest', async (system) => {
    const run = await play(context, system, strategyId, options)
    const fills = await listFills(system.db.reader, run.id)
    context.print(options.json ? jsonReport(run, fills) : reportText(run, fills))
    if (run.status === 'completed') return 0
    context.note(`weaver: the run ended in ${run.status}: ${run.error?.message ?? 'it was stopped'}`)
    return 1
  })
}

/** The machine's report: one JSON object. */
function jsonReport(run: RunRow, fills: readonly FillRow[]): string {
  const completed = run.status === 'completed'
  return JSON.stringify({
    run,
    stats: completed ? run.stats : null,
    fills: fills.map(({ timestamp, symbol, side, qty, price, fee, order_id }) => ({
      timestamp,
      symbol,
      side,
      qty,
      price,
      fee,
      order_id,
    })),
    result_hash: run.result_hash,
  })
}

async function play(
  context: CliContext,
  system: System,
  strategyId: string,
  options: BacktestOptions,
): Promise<RunRow> {
  const range = await rangeOf(system.db.reader, context.config.timezone, options)
  const control = await openControl(system, { workers: 'unless running' })
  try {
    const corr = { corrId: wallClock.newId() }
    const created = await control.commands.createRun(
      {
        strategy_id: strategyId,
        mode: 'backtest',
        symbols: options.symbol,
        timeframe: options.timeframe,
        ...range,
        config: options.param ?? {},
        config_from_text: true,
        fill: (options.fill ?? {}) as FillRequest,
        initial_cash: options.cash,
        seed: options.seed === undefined ? undefined : seedOf(options.seed),
        label: options.label,
        audit: options.audit,
        driver: options.driver,
      },
      corr,
    )
    await control.commands.startRun(created.id, corr)
    return await follow(system, created.id, control.failed)
  } catch (error) {
    if (error instanceof DomainError) throw new CliError(error.message)
    throw error
  } finally {
    await control.close()
  }
}

function seedOf(text: string): number {
  const seed = Number(text)
  if (!Number.isSafeInteger(seed)) throw new CliError('--seed must be a whole number', 2)
  return seed
}

/** Without times: from the first stored bar's open to the last one's close, over all symbols. */
async function rangeOf(
  reader: Reader,
  timezone: string,
  { symbol, timeframe, start, end }: BacktestOptions,
): Promise<{ start_time: string | undefined; end_time: string | undefined }> {
  const stored = await Promise.all(symbol.map((one) => candleRange(reader, one, timeframe)))
  const known = stored.filter((range) => range !== null)
  const first = Math.min(...known.map((range) => range.first))
  const last = Math.max(...known.map((range) => range.last)) + TIMEFRAME_MS[timeframe]
  // With nothing stored any range does: the run is refused for its data, with words that say so.
  const iso = (ms: number) => new Date(Number.isFinite(ms) ? ms : 0).toISOString()
  return {
    start_time: start === undefined ? iso(first) : timeOf('--start', start, timezone),
    end_time: end === undefined ? iso(last) : timeOf('--end', end, timezone),
  }
}

/** Waits for the run's end, with a progress bar on a terminal. */
async function follow(system: System, id: string, failed: Promise<Error>): Promise<RunRow> {
  const bar = progressBar('backtest')
  let fatal: Error | null = null
  failed.then((error) => {
    fatal = error
  })
  for (;;) {
    const run = await getRun(system.db.reader, id)
    if (run === null) throw new CliError(`run ${id} was deleted while it ran`)
    bar.show(run.progress)
    if (run.status !== 'running' && run.status !== 'pending') {
      bar.end()
      return run
    }
    if (fatal !== null) throw fatal
    await wallClock.sleep(LOOK_MS)
  }
}
