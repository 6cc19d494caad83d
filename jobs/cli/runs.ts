import { invalidationsOf } from '../../db/walle/queries/run_data.ts'
import { listRuns } from '../../db/walle/queries/runs.ts'
import type { RunRow, RunStatus } from '../../db/walle/rows.ts'
import { type CliContext, readLimit, withSystem } from './context.ts'

export interface RunsOptions {
  status?: RunStatus
  limit: string
  json: boolean
}

export async function runsCommand(context: CliContext, options: RunsOptions): Promise<number> {
  const limit = readLimit(options.limit)
  return withSystem(context, 'runs', async ({ db }) => {
    const { items, total } = await listRuns(db.reader, { status: options.status, page: 1, page_size: limit })
    const invalidations = await invalidationsOf(
      db.reader,
      items.map(({ id }) => id),
    )
    const marked = items.map((run) => ({ ...run, invalidated_by: invalidations.get(run.id) ?? null }))
    if (options.json) context.print(JSON.stringify({ items: marked, total }))
    else if (items.length === 0)
      context.print('There are no runs yet: try `weaver backtest sma_cross --symbol … --timeframe …`')
    else for (const run of marked) context.print(`${line(run)}${run.invalidated_by ? '  data revised' : ''}`)
    return 0
  })
}

function line(run: RunRow): string {
  const percent = (value: unknown) => (typeof value === 'number' ? `${(100 * value).toFixed(2)} %` : '-')
  return [
    run.id,
    run.status.padEnd(9),
    run.mode,
    run.strategy_id.padEnd(16),
    run.symbols.join(','),
    run.timeframe,
    percent(run.stats?.total_return),
    run.created_at,
  ].join('  ')
}
