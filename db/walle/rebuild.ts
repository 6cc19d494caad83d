/**
 * Rows made again from the log, beside the stored ones: temporary tables of one transaction, compared column by column,
 * and if asked to put in their place. What makes them is in projections/ and jobs/history/rebuild.ts.
 */
import type { WriteTx } from '../database.ts'
import {
  type Columns,
  columnNames,
  DECISIONS,
  FILLS,
  ORDERS,
  POSITIONS,
  quoted,
  RUNS,
  type Table,
  TRADES,
} from './columns.ts'
import type { RunState } from './projections/runs.ts'
import { insertRows } from './record/bulk.ts'
import type { DecisionRow, FillRow, OrderRow, PositionRow, TradeRow } from './rows.ts'

/** A position's last price is a mark at a bar's close: no event tells of it. */
export type RebuiltPosition = Omit<PositionRow, 'last_price'>

export interface Rebuilt {
  orders: OrderRow
  fills: FillRow
  trades: TradeRow
  decisions: DecisionRow
  positions: RebuiltPosition
  runs: RunState
}

export type RebuiltName = keyof Rebuilt

interface Projection<Row> {
  table: Table<Row>
  /** Which row is which, within the run. */
  key: keyof Row & string
  /** The stored rows of the run. */
  ofRun: 'run_id' | 'id'
}

const { last_price, ...position } = POSITIONS.columns
const runState: Columns<RunState> = pick(RUNS.columns, [
  'id',
  'status',
  'started_at',
  'stopped_at',
  'stop_requested',
  'error',
  'result_hash',
  'last_event_id',
])

const PROJECTIONS: { readonly [Name in RebuiltName]: Projection<Rebuilt[Name]> } = {
  orders: { table: ORDERS, key: 'id', ofRun: 'run_id' },
  fills: { table: FILLS, key: 'id', ofRun: 'run_id' },
  trades: { table: TRADES, key: 'ordinal', ofRun: 'run_id' },
  decisions: { table: DECISIONS, key: 'id', ofRun: 'run_id' },
  positions: { table: { name: POSITIONS.name, columns: position }, key: 'symbol', ofRun: 'run_id' },
  runs: { table: { name: RUNS.name, columns: runState }, key: 'id', ofRun: 'id' },
}

export const REBUILT_NAMES = Object.keys(PROJECTIONS) as RebuiltName[]

function pick<Row, Name extends keyof Row>(from: Columns<Row>, names: readonly Name[]): Columns<Pick<Row, Name>> {
  return Object.fromEntries(names.map((name) => [name, from[name]])) as unknown as Columns<Pick<Row, Name>>
}

const fresh = (name: RebuiltName): string => `pg_temp.rebuilt_${name}`

/** Makes the tables; they are gone when the transaction ends. */
export async function openRebuilt(tx: WriteTx): Promise<void> {
  for (const name of REBUILT_NAMES) {
    const { table, key } = PROJECTIONS[name]
    const list = Object.entries(table.columns).map(([column, type]) => `${quoted(column)} ${type}`)
    await tx.execute(
      `create temporary table rebuilt_${name} (${list.join(', ')}, primary key (${quoted(key)})) on commit drop`,
    )
  }
}

export async function addRebuilt<Name extends RebuiltName>(
  tx: WriteTx,
  name: Name,
  rows: readonly Rebuilt[Name][],
): Promise<void> {
  const { columns } = PROJECTIONS[name].table
  await insertRows(tx, { name: fresh(name), columns } as Table<Rebuilt[Name]>, rows)
}

/** Decisions that were too large for their events: what the stored row holds is all there is. Gives those without one. */
export async function keepDecisions(tx: WriteTx, ids: readonly string[]): Promise<string[]> {
  await tx.execute(
    `update ${fresh('decisions')} r set intents = d.intents, skips = d.skips, logs = d.logs
     from weaver.decisions d where d.id = r.id and r.id = any ($1::uuid[])`,
    [ids],
  )
  const lost = await tx.query<{ id: string }>(
    `delete from ${fresh('decisions')} r where r.id = any ($1::uuid[])
       and not exists (select from weaver.decisions d where d.id = r.id) returning r.id`,
    [ids],
  )
  return lost.map(({ id }) => id)
}

/** A table that this log cannot tell: nothing of it is compared or replaced. */
export async function keepStored(tx: WriteTx, name: RebuiltName, runId: string): Promise<void> {
  const { table, ofRun } = PROJECTIONS[name]
  const columns = columnNames(table.columns as Columns<object>)
    .map(quoted)
    .join(', ')
  await tx.execute(`delete from ${fresh(name)}`)
  await tx.execute(
    `insert into ${fresh(name)} (${columns}) select ${columns} from ${table.name} where ${ofRun} = $1::uuid`,
    [runId],
  )
}

export interface Difference {
  /** The row's key within the run. */
  row: string
  /** Null: one side has no such row. */
  column: string | null
  stored: string | null
  rebuilt: string | null
}

export interface TableReport {
  table: RebuiltName
  /** Rows that the log makes. */
  rows: number
  /** Cells, and whole rows, that differ. */
  total: number
  /** The first of them. */
  differences: Difference[]
}

export async function compareRebuilt(tx: WriteTx, runId: string, most: number): Promise<TableReport[]> {
  const reports: TableReport[] = []
  for (const name of REBUILT_NAMES) {
    const [counted] = await tx.query<{ rows: number }>(`select count(*) as rows from ${fresh(name)}`)
    const found = await tx.query<Difference & { total: number }>(differencesOf(name), [runId, most])
    const differences = found.map(({ total, ...difference }) => difference)
    reports.push({ table: name, rows: counted?.rows ?? 0, total: found[0]?.total ?? 0, differences })
  }
  return reports
}

/** $1: the run, $2: how many are named. */
function differencesOf(name: RebuiltName): string {
  const { table, key, ofRun } = PROJECTIONS[name] as Projection<object>
  const columns = table.columns as Record<string, string>
  const cells = Object.entries(columns).map(
    ([column, type]) => `('${column}', ${text('s', column, type)}, ${text('r', column, type)})`,
  )
  return `
    select coalesce(s.${quoted(key)}, r.${quoted(key)})::text as row,
      case when s.${quoted(key)} is not null and r.${quoted(key)} is not null then cell.name end as column,
      cell.stored, cell.rebuilt, count(*) over () as total
    from (select * from ${table.name} where ${ofRun} = $1::uuid) s
      full join ${fresh(name)} r on s.${quoted(key)} = r.${quoted(key)}
      cross join lateral (values ${cells.join(', ')}) as cell (name, stored, rebuilt)
    where cell.stored is distinct from cell.rebuilt
      and (cell.name = '${key}' or (s.${quoted(key)} is not null and r.${quoted(key)} is not null))
    order by coalesce(s.${quoted(key)}, r.${quoted(key)}), cell.name limit $2`
}

/** Equal values have equal texts. */
function text(alias: string, column: string, type: string): string {
  const value = `${alias}.${quoted(column)}`
  return type === 'numeric' ? `trim_scale(${value})::text` : `${value}::text`
}

/** Puts the rebuilt rows in the place of the stored ones that differ from them; the others are not touched. */
export async function swapRebuilt(tx: WriteTx, runId: string): Promise<void> {
  for (const name of REBUILT_NAMES) {
    const { table, key, ofRun } = PROJECTIONS[name] as Projection<object>
    const columns = columnNames(table.columns as Columns<object>).map(quoted)
    const same = `r.${quoted(key)} = t.${quoted(key)}`
    const ours = `t.${ofRun} = $1::uuid`
    const all = (alias: string) => columns.map((column) => `${alias}.${column}`).join(', ')
    await tx.execute(
      `delete from ${table.name} t where ${ours} and not exists (select from ${fresh(name)} r where ${same})`,
      [runId],
    )
    await tx.execute(
      `update ${table.name} t set ${columns.map((column) => `${column} = r.${column}`).join(', ')}
       from ${fresh(name)} r where ${ours} and ${same} and (${all('t')}) is distinct from (${all('r')})`,
      [runId],
    )
    // A run's row cannot be made of its events: they do not hold what it was made with.
    if (name === 'runs') continue
    await tx.execute(
      `insert into ${table.name} (${columns.join(', ')}) select ${all('r')} from ${fresh(name)} r
       where not exists (select from ${table.name} t where ${ours} and ${same})`,
      [runId],
    )
  }
}
