/** `weaver backtest`: makes a run, lets the workers play it, prints its report. */
import { access, constants, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Reader } from '../../db/database.ts'
import { getBand } from '../../db/walle/queries/bands.ts'
import { listFills, summariseSkips } from '../../db/walle/queries/results.ts'
import { listRunDatasets } from '../../db/walle/queries/run_data.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { seriesRange } from '../../db/walle/queries/series.ts'
import type { BandRow, FillRow, RunRow } from '../../db/walle/rows.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { type Control, openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { DomainError } from '../glados/errors.ts'
import type { FillRequest } from '../greta/fill_model.ts'
import { readReport } from '../report/data.ts'
import { reportHtml } from '../report/report.ts'
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
  band: boolean
  html?: string
  json: boolean
}

const LOOK_MS = 50
/** Reasons for doing nothing that are printed, the most frequent first. */
const REASONS = 5

export async function backtestCommand(
  context: CliContext,
  strategyId: string,
  options: BacktestOptions,
): Promise<number> {
  return withSystem(context, 'backtest', async (system) => {
    if (options.html !== undefined) await checkFolder(options.html)
    const run = await play(context, system, strategyId, options)
    if (options.html !== undefined) await writeReport(context, system, run, options.html)
    const fills = await listFills(system.db.reader, run.id)
    const band = options.band ? await getBand(system.db.reader, run.id) : null
    const skips = await summariseSkips(system.db.reader, run.id, REASONS)
    const data = await listRunDatasets(system.db.reader, run.id)
    context.print(options.json ? jsonReport(run, fills, band) : reportText(run, fills, { band, skips, data }))
    if (run.status === 'completed') return 0
    context.note(`weaver: the run ended in ${run.status}: ${run.error?.message ?? 'it was stopped'}`)
    return 1
  })
}

/** Before the run, which may take long: can the report be written afterwards? */
async function checkFolder(file: string): Promise<void> {
  await access(dirname(resolve(file)), constants.W_OK).catch((error: Error) => {
    throw new CliError(`the report cannot be written to ${file}: ${error.message}`)
  })
}

async function writeReport(context: CliContext, { db }: System, run: RunRow, file: string): Promise<void> {
  const page = await reportHtml(await readReport(db.reader, run))
  await writeFile(file, page).catch((error: Error) => {
    throw new CliError(`the report cannot be written to ${file}: ${error.message}`)
  })
  context.note(`report written to ${file}`)
}

/** Sets off the assumption band and waits for it. */
async function makeBand({ db }: System, { commands, failed }: Control, id: string): Promise<void> {
  await commands.requestBand(id)
  const ended = await watch('assumption band', failed, async (show) => {
    const band = await getBand(db.reader, id)
    if (band === null) throw new CliError(`run ${id} was deleted while its assumption band was made`)
    show(band.progress)
    return band.status === 'running' ? null : band
  })
  if (ended.error !== null) throw new CliError(`the assumption band could not be made: ${ended.error}`)
}

/** The machine's report: one JSON object. */
function jsonReport(run: RunRow, fills: readonly FillRow[], band: BandRow | null): string {
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
    ...(band ? { band: band.result } : {}),
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
    const ended = await follow(system, created.id, control.failed)
    if (options.band && ended.status === 'completed') await makeBand(system, control, ended.id)
    return ended
  } catch (error) {
    if (error instanceof DomainError) throw new CliError(error.message)
    throw error
  } finally {
    await control.close()
  }
}

export function seedOf(text: string): number {
  const seed = Number(text)
  if (!Number.isSafeInteger(seed)) throw new CliError('--seed must be a whole number', 2)
  return seed
}

/** Without times: from the first stored bar's open to the last one's close, over all symbols. */
export async function rangeOf(
  reader: Reader,
  timezone: string,
  { symbol, timeframe, start, end }: Pick<BacktestOptions, 'symbol' | 'timeframe' | 'start' | 'end'>,
): Promise<{ start_time: string | undefined; end_time: string | undefined }> {
  const stored = await Promise.all(symbol.map((one) => seriesRange(reader, one, timeframe)))
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

/** Waits for the run's end. */
function follow({ db }: System, id: string, failed: Promise<Error>): Promise<RunRow> {
  return watch('backtest', failed, async (show) => {
    const run = await getRun(db.reader, id)
    if (run === null) throw new CliError(`run ${id} was deleted while it ran`)
    show(run.progress)
    return run.status === 'running' || run.status === 'pending' ? null : run
  })
}

/** Looks until there is something, with a progress bar on a terminal. */
export async function watch<T>(
  name: string,
  failed: Promise<Error>,
  look: (show: (progress: number) => void) => Promise<T | null>,
): Promise<T> {
  const bar = progressBar(name)
  let fatal: Error | null = null
  failed.then((error) => {
    fatal = error
  })
  for (;;) {
    const found = await look(bar.show)
    if (found !== null) {
      bar.end()
      return found
    }
    if (fatal !== null) throw fatal
    await wallClock.sleep(LOOK_MS)
  }
}
