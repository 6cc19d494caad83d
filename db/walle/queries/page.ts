/** Lists by page. A total is exact up to a limit and an estimate of the planner's beyond it: counting a million rows is slow. */
import type { Reader } from '../../database.ts'
import { selectList, type Table } from '../columns.ts'

export const EXACT_TOTAL = 10_000

export interface Paging {
  /** From 1. */
  page: number
  page_size: number
}

export interface Page<Row> {
  items: Row[]
  total: number
  total_is_estimate: boolean
}

/** Conditions, `?` standing for the value; those without a value do not apply. */
export type Filters = readonly (readonly [condition: string, value: string | number | undefined])[]

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Postgres refuses what is no UUID with an error; for a query it is simply an id that nothing has. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

export async function listPage<Row extends object>(
  reader: Reader,
  query: { table: Table<Row>; filters: Filters; orderBy: string } & Paging,
): Promise<Page<Row>> {
  const applied = query.filters.filter(([, value]) => value !== undefined)
  const values = applied.map(([, value]) => value)
  const conditions = applied.map(([condition], i) => condition.replace('?', `$${i + 1}`))
  const from = `from ${query.table.name}${conditions.length > 0 ? ` where ${conditions.join(' and ')}` : ''}`
  const items = await reader.query<Row>(
    `select ${selectList(query.table)} ${from} order by ${query.orderBy}
     limit $${values.length + 1} offset $${values.length + 2}`,
    [...values, query.page_size, (query.page - 1) * query.page_size],
  )
  return { items, ...(await countRows(reader, from, values)) }
}

async function countRows(reader: Reader, from: string, values: readonly unknown[]) {
  const [counted] = await reader.query<{ total: number }>(
    `select count(*) as total from (select 1 ${from} limit ${EXACT_TOTAL + 1}) counted`,
    values,
  )
  const total = counted?.total ?? 0
  if (total <= EXACT_TOTAL) return { total, total_is_estimate: false }
  const [explained] = await reader.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `explain (format json) select 1 ${from}`,
    values,
  )
  return { total: Math.max(total, explained?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0), total_is_estimate: true }
}
