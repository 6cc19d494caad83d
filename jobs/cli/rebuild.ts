/** `weaver rebuild`: whether the rows are what the log says. */
import { getRun, listRuns } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { wallClock } from '../glados/clock.ts'
import { DomainError } from '../glados/errors.ts'
import { isRebuildable, type RunRebuild, rebuildRun, whileRunning } from '../history/rebuild.ts'
import type { System } from '../system.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface RebuildOptions {
  run?: string
  swap: boolean
  json: boolean
}

/** Differences that are named per table of a run. */
const NAMED = 10
const RUNS_AT_ONCE = 100

/** Exit code 0: everything was equal, or is now. */
export async function rebuildCommand(context: CliContext, options: RebuildOptions): Promise<number> {
  return withSystem(context, 'rebuild', async (system) => {
    const sum = { runs: 0, different: 0, swapped: 0 }
    // Refused before anything is changed, not halfway through.
    if (options.swap) for await (const run of runsOf(system, options)) mustHaveEnded(run)
    for await (const run of runsOf(system, options)) {
      const report = await rebuild(context, system, run, options)
      sum.runs += 1
      sum.swapped += report.swapped
      if (differs(report) && report.swapped === 0) sum.different += 1
      if (report.swapped > 0) {
        system.log.warn({ run_id: run.id, rows: report.swapped }, 'rows were replaced by what the log says')
      }
    }
    if (!options.json) context.print(summary(sum))
    return sum.different === 0 ? 0 : 1
  })
}

async function rebuild(context: CliContext, { db }: System, run: RunRow, options: RebuildOptions): Promise<RunRebuild> {
  try {
    return await rebuildRun({ db, ...wallClock }, run, {
      swap: options.swap,
      most: NAMED,
      onReport: (report) => context.print(options.json ? JSON.stringify(report) : reportText(run, report)),
    })
  } catch (error) {
    if (error instanceof DomainError) throw new CliError(error.message)
    throw error
  }
}

async function* runsOf({ db }: System, { run: id }: RebuildOptions): AsyncGenerator<RunRow> {
  if (id !== undefined) {
    const run = await getRun(db.reader, id)
    if (!run) throw new CliError(`there is no run ${id.slice(0, 100)}`)
    if (!isRebuildable(run)) {
      const why = `its audit is ${run.audit}, so its orders are not in the log`
      throw new CliError(`run ${id} cannot be rebuilt: ${why}; a backtest like it with --audit full can`)
    }
    yield run
    return
  }
  for (let page = 1; ; page++) {
    const { items } = await listRuns(db.reader, { page, page_size: RUNS_AT_ONCE })
    yield* items.filter((run) => isRebuildable(run) && run.status !== 'pending')
    if (items.length < RUNS_AT_ONCE) return
  }
}

function mustHaveEnded(run: RunRow): void {
  if (run.status === 'running') throw new CliError(whileRunning(run).message)
}

const totalOf = ({ tables }: RunRebuild): number => tables.reduce((sum, { total }) => sum + total, 0)

const differs = (report: RunRebuild): boolean => totalOf(report) > 0

function reportText(run: RunRow, report: RunRebuild): string {
  const rows = report.tables.map(({ table, rows }) => `${rows} ${table}`).join(', ')
  const total = totalOf(report)
  const verdict = total === 0 ? 'equal' : `${total} differences`
  return [
    `run ${run.id} ${run.strategy_id} ${run.mode}: ${verdict} (${report.events} events; ${rows})`,
    ...report.left_out.map((what) => `  left out: ${what}`),
    ...report.tables.flatMap(({ table, total, differences }) => [
      ...differences.map(({ row, column, stored, rebuilt }) =>
        column === null
          ? `  ${table} ${row}: ${stored === null ? 'is missing' : 'is not in the log'}`
          : `  ${table} ${row} ${column}: stored ${stored ?? 'nothing'}, by the log ${rebuilt ?? 'nothing'}`,
      ),
      ...(total > differences.length ? [`  ${table}: and ${total - differences.length} more`] : []),
    ]),
  ].join('\n')
}

function summary({ runs, different, swapped }: { runs: number; different: number; swapped: number }): string {
  if (runs === 0)
    return 'There is no run that left everything in the log: live, paper, or a backtest with --audit full.'
  const equal = `${runs} runs, ${different} that differ`
  return swapped === 0 ? equal : `${equal}; ${swapped} differences put right`
}
