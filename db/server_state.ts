/** What a database server says about itself, for `weaver doctor`. */
import type { Pool } from './client.ts'

export interface ServerState {
  /** Its name and version, as in `PostgreSQL 18.0`. */
  version: string
  /** Its clock, epoch milliseconds. */
  now: number
}

export async function serverState(pool: Pool): Promise<ServerState> {
  const { rows } = await pool.query<{ version: string; now: string }>(
    'select version(), extract(epoch from clock_timestamp()) * 1000 as now',
  )
  return { version: String(rows[0]?.version).split(' ').slice(0, 2).join(' '), now: Number(rows[0]?.now) }
}
