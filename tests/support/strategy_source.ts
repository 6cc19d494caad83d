/** The stored source of a strategy that is one text, which imports `./api.ts`. */
import { readFile } from 'node:fs/promises'
import type { StrategySourceRow } from '../../db/walle/rows.ts'
import { hashOf } from '../../jobs/marvin/discover.ts'

export async function strategySource(strategy_id: string, text: string): Promise<StrategySourceRow> {
  const api = await readFile(new URL('../../strategies/api.ts', import.meta.url), 'utf8')
  const entry = `${strategy_id}.ts`
  const files = { 'api.ts': api, [entry]: text }
  return { hash: hashOf(files), strategy_id, version: '1', entry, files }
}
