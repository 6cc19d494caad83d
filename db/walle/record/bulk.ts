/** Inserts and updates of many rows, driven by the column lists. */
import { Readable } from 'node:stream'
import type { WriteTx } from '../../database.ts'
import { cellText, columnNames, quoted, type Table } from '../columns.ts'

/** Up to this many rows one insert is quicker than a COPY's extra round trips. */
export const COPY_ABOVE_ROWS = 50
/** Size at which COPY text is handed to the connection. */
const CHUNK_CHARACTERS = 256 * 1024

export async function insertRows<Row extends object>(tx: WriteTx, table: Table<Row>, rows: readonly Row[]) {
  if (rows.length === 0) return
  const names = columnNames(table.columns)
  const list = names.map(quoted).join(', ')
  if (rows.length > COPY_ABOVE_ROWS) {
    await tx.copyFrom(`copy ${table.name} (${list}) from stdin`, Readable.from(copyText(table, rows)))
    return
  }
  await tx.execute(`insert into ${table.name} (${list}) select * from ${unnested(table)}`, columnArrays(table, rows))
}

/** Inserts, or overwrites the row that has the same key. */
export async function upsertRows<Row extends object>(
  tx: WriteTx,
  table: Table<Row>,
  key: readonly (keyof Row & string)[],
  rows: readonly Row[],
) {
  if (rows.length === 0) return
  const names = columnNames(table.columns)
  const changes = names
    .filter((name) => !key.includes(name))
    .map((name) => `${quoted(name)} = excluded.${quoted(name)}`)
  await tx.execute(
    `insert into ${table.name} (${names.map(quoted).join(', ')}) select * from ${unnested(table)}
     on conflict (${key.map(quoted).join(', ')}) do update set ${changes.join(', ')}`,
    columnArrays(table, rows),
  )
}

/** Inserts those whose key is not there yet. */
export async function insertMissing<Row extends object>(
  tx: WriteTx,
  table: Table<Row>,
  key: readonly (keyof Row & string)[],
  rows: readonly Row[],
) {
  if (rows.length === 0) return
  await tx.execute(
    `insert into ${table.name} (${columnNames(table.columns).map(quoted).join(', ')}) select * from ${unnested(table)}
     on conflict (${key.map(quoted).join(', ')}) do nothing`,
    columnArrays(table, rows),
  )
}

/** Overwrites rows that exist, matched by id, but for the columns named in `keep`; all of them or none. */
export async function updateRows<Row extends { id: string }>(
  tx: WriteTx,
  table: Table<Row>,
  rows: readonly Row[],
  keep: readonly (keyof Row & string)[],
) {
  if (rows.length === 0) return
  const changes = columnNames(table.columns)
    .filter((name) => name !== 'id' && !keep.includes(name))
    .map((name) => `${quoted(name)} = n.${quoted(name)}`)
  const names = columnNames(table.columns).map(quoted).join(', ')
  const updated = await tx.execute(
    `update ${table.name} t set ${changes.join(', ')} from ${unnested(table)} as n (${names}) where t.id = n.id`,
    columnArrays(table, rows),
  )
  if (updated !== rows.length) {
    throw new Error(`${rows.length} rows of ${table.name} were to be updated, but only ${updated} of them exist`)
  }
}

/** `unnest` with one parameter per column; jsonb goes as text, since an array of jsonb would need a second escaping. */
function unnested<Row>(table: Table<Row>): string {
  return `unnest(${columnNames(table.columns)
    .map((name, i) => `$${i + 1}::${table.columns[name]}[]`)
    .join(', ')})`
}

function columnArrays<Row>(table: Table<Row>, rows: readonly Row[]): (string | null)[][] {
  return columnNames(table.columns).map((name) => rows.map((row) => cellText(row[name], table.columns[name])))
}

function* copyText<Row>(table: Table<Row>, rows: readonly Row[]): Generator<string> {
  const names = columnNames(table.columns)
  const types = names.map((name) => table.columns[name])
  let text = ''
  for (const row of rows) {
    for (let i = 0; i < names.length; i++) {
      const cell = cellText(row[names[i] as keyof Row], types[i] ?? 'text')
      text += (i === 0 ? '' : '\t') + (cell === null ? '\\N' : escaped(cell))
    }
    text += '\n'
    if (text.length >= CHUNK_CHARACTERS) {
      yield text
      text = ''
    }
  }
  if (text !== '') yield text
}

const COPY_ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escaped(cell: string): string {
  return /[\\\t\n\r]/.test(cell)
    ? cell.replaceAll(/[\\\t\n\r]/g, (character) => COPY_ESCAPES[character] ?? character)
    : cell
}
