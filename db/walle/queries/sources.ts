import type { Reader } from '../../database.ts'
import { SOURCES, selectList } from '../columns.ts'
import type { StrategySourceRow } from '../rows.ts'

export async function getSource(reader: Reader, hash: string): Promise<StrategySourceRow | null> {
  const [source] = await reader.query<StrategySourceRow>(
    `select ${selectList(SOURCES)} from weaver.strategy_sources where hash = $1`,
    [hash],
  )
  return source ?? null
}
