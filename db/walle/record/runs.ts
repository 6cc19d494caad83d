/** Runs and what hangs on one of them. */
import type { WriteTx } from '../../database.ts'
import { floatsToBytes } from '../candle_columns.ts'
import { type Columns, cellText, columnNames, NEW_RUNS, quoted, RUNS, SOURCES } from '../columns.ts'
import type { BandRow, EquityBlock, NewRun, RunChanges, RunRow, StrategySourceRow } from '../rows.ts'

/** Names, typed placeholders and values of one row's columns. */
function parametersOf<Row>(columns: Columns<Row>, names: readonly (keyof Row & string)[], row: Partial<Row>, from = 1) {
  return {
    names: names.map(quoted),
    placeholders: names.map((name, i) => `$${from + i}::${columns[name]}`),
    values: names.map((name) => cellText(row[name], columns[name])),
  }
}

export async function createRun(tx: WriteTx, run: NewRun): Promise<void> {
  const { names, placeholders, values } = parametersOf(NEW_RUNS.columns, columnNames(NEW_RUNS.columns), run)
  await tx.execute(
    `insert into weaver.runs (status, ${names.join(', ')}) values ('pending', ${placeholders.join(', ')})`,
    values,
  )
}

const FIXED = ['id', 'created_at', 'updated_at'] as const

export async function updateRun(tx: WriteTx, id: string, changes: RunChanges): Promise<void> {
  const known = columnNames(RUNS.columns).filter((name) => !FIXED.some((fixed) => fixed === name))
  const strange = Object.keys(changes).filter((name) => !known.some((column) => column === name))
  if (strange.length > 0) throw new TypeError(`a run has no column to change called ${strange.join(', ')}`)
  const row: Partial<RunRow> = changes
  const changed = known.filter((name) => row[name] !== undefined)
  if (changed.length === 0) return
  const { names, placeholders, values } = parametersOf(RUNS.columns, changed, row, 2)
  const set = names.map((name, i) => `${name} = ${placeholders[i]}`).join(', ')
  if ((await tx.execute(`update weaver.runs set ${set} where id = $1`, [id, ...values])) === 0) throw noSuchRun(id)
}

/** Takes everything along that belongs to the run, but for its events. */
/** The run's many rows first: they have no foreign key to go with it. */
export async function deleteRun(tx: WriteTx, id: string): Promise<void> {
  for (const table of ['fills', 'trades', 'orders', 'decisions', 'skips']) {
    await tx.execute(`delete from weaver.${table} where run_id = $1`, [id])
  }
  if ((await tx.execute('delete from weaver.runs where id = $1', [id])) === 0) throw noSuchRun(id)
}

function noSuchRun(id: string): Error {
  return new Error(`there is no run ${id}: it may have been deleted`)
}

/** Keyed by its hash, so what is there already is the same. */
export async function storeSource(tx: WriteTx, source: StrategySourceRow): Promise<void> {
  const { names, placeholders, values } = parametersOf(SOURCES.columns, columnNames(SOURCES.columns), source)
  await tx.execute(
    `insert into weaver.strategy_sources (${names.join(', ')}) values (${placeholders.join(', ')})
     on conflict (hash) do nothing`,
    values,
  )
}

/** As json, which keeps the text: the keys' order and every character come back as they were. */
export async function saveCheckpoint(tx: WriteTx, runId: string, nextTick: number, state: unknown): Promise<void> {
  await tx.execute(
    `insert into weaver.run_checkpoints (run_id, next_tick, state) values ($1, $2, $3::json)
     on conflict (run_id) do update set next_tick = excluded.next_tick, state = excluded.state`,
    [runId, nextTick, JSON.stringify(state)],
  )
}

export async function dropCheckpoint(tx: WriteTx, runId: string): Promise<void> {
  await tx.execute('delete from weaver.run_checkpoints where run_id = $1', [runId])
}

export async function appendEquity(tx: WriteTx, block: EquityBlock): Promise<void> {
  const points = block.ts.length
  if (block.equity.length !== points || block.exposure.length !== points) {
    throw new RangeError(`the columns of an equity block of run ${block.run_id} differ in length`)
  }
  if (points === 0) return
  await tx.execute(
    `insert into weaver.equity_blocks (run_id, first_tick, points, ts, equity, exposure)
     values ($1, $2, $3, $4, $5, $6)`,
    [block.run_id, block.first_tick, points, ...[block.ts, block.equity, block.exposure].map(floatsToBytes)],
  )
}

/** A row of so many points is 1.5 KB: Postgres keeps it in one piece, and a point more does not write much again. */
const POINTS_OF_A_GROWING_BLOCK = 64

export async function addEquity(
  tx: WriteTx,
  { run_id, tick, point }: { run_id: string; tick: number; point: { ts: number; equity: number; exposure: number } },
): Promise<void> {
  const columns = [point.ts, point.equity, point.exposure].map((value) => floatsToBytes(Float64Array.of(value)))
  await tx.execute(
    `with newest as (
       select id from weaver.equity_blocks where run_id = $1 order by first_tick desc limit 1
     ), grown as (
       update weaver.equity_blocks b
       set points = points + 1, ts = ts || $3, equity = equity || $4, exposure = exposure || $5
       from newest where b.id = newest.id and points < ${POINTS_OF_A_GROWING_BLOCK} returning b.id
     )
     insert into weaver.equity_blocks (run_id, first_tick, points, ts, equity, exposure)
     select $1::uuid, $2::bigint, 1, $3::bytea, $4::bytea, $5::bytea where not exists (select from grown)`,
    [run_id, tick, ...columns],
  )
}

export async function saveResult(
  tx: WriteTx,
  result: { run_id: string; stats: Record<string, unknown>; result_hash: string; final_equity: string },
): Promise<void> {
  await tx.execute(
    `insert into weaver.backtest_results (run_id, stats, result_hash, final_equity)
     values ($1, $2::jsonb, $3, $4::numeric)
     on conflict (run_id) do update
       set stats = excluded.stats, result_hash = excluded.result_hash, final_equity = excluded.final_equity`,
    [result.run_id, cellText(result.stats, 'jsonb'), result.result_hash, result.final_equity],
  )
}

export async function recordTrial(
  tx: WriteTx,
  trial: { run_id: string; first_tick_at: string; last_tick_at: string; sharpe: number | null },
): Promise<void> {
  await tx.execute(
    `insert into weaver.trials (strategy_id, variant, symbols, timeframe, first_tick_at, last_tick_at, run_id, sharpe)
     select strategy_id, weaver.trial_variant(r), symbols, timeframe, $2, $3, id, $4::float8
     from weaver.runs r where id = $1
     on conflict (variant, first_tick_at, last_tick_at) do update
       set run_id = excluded.run_id, sharpe = excluded.sharpe`,
    [trial.run_id, trial.first_tick_at, trial.last_tick_at, trial.sharpe],
  )
}

export async function saveBand(
  tx: WriteTx,
  band: Pick<BandRow, 'run_id' | 'status' | 'progress' | 'result' | 'error'>,
): Promise<void> {
  await tx.execute(
    `insert into weaver.bands (run_id, status, progress, result, error) values ($1, $2, $3, $4::jsonb, $5)
     on conflict (run_id) do update
       set status = excluded.status, progress = excluded.progress, result = excluded.result, error = excluded.error`,
    [band.run_id, band.status, band.progress, cellText(band.result, 'jsonb'), cellText(band.error, 'text')],
  )
}
