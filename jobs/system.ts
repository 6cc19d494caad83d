/** What every Weaver process stands on: Postgres (embedded or given), migrated, and open. */
import { mustAnswer, openDatabase, openOwnerPool } from '../db/client.ts'
import type { Database } from '../db/database.ts'
import { acquirePostgres, hasCluster } from '../db/embedded.ts'
import { migratedTo } from '../db/events/health.ts'
import { migrate } from '../db/migrate.ts'
import type { Config } from './config/config.ts'
import { wantedConnections } from './connections.ts'
import type { Log } from './log.ts'
import { migrateJobs } from './runner.ts'

export interface System {
  config: Config
  log: Log
  url: string
  db: Database
  /** The newest migration, as this Weaver knows them; the database was brought to it. */
  schemaVersion: number
  /** Settles when the embedded server came back elsewhere. Never with a given one. */
  lost: Promise<Error>
  close(): Promise<void>
}

export interface Postgres {
  url: string
  lost: Promise<Error>
  release(): Promise<void>
}

/** The given server, or the embedded one of the data directory: joined when it runs, else started. */
export async function openPostgres(config: Config, log: Log): Promise<Postgres> {
  if (config.databaseUrl) {
    const url = config.databaseUrl.reveal()
    await mustAnswer(url)
    return { url, lost: new Promise(() => {}), release: async () => {} }
  }
  const connections = wantedConnections(config)
  return acquirePostgres({ dataDir: config.dataDir, connections, log: (message) => log.info(message) })
}

export async function openSystem(config: Config, log: Log, applicationName: string): Promise<System> {
  const postgres = await openPostgres(config, log)
  try {
    const pool = openOwnerPool(postgres.url, { applicationName, maxConnections: 2 })
    let schemaVersion: number
    try {
      schemaVersion = (await migrate(pool, { before: migrateJobs })).version
    } finally {
      await pool.end()
    }
    const db = await openDatabase({ url: postgres.url, applicationName })
    return systemOn({ config, log, postgres, db, schemaVersion })
  } catch (error) {
    await postgres.release()
    throw error
  }
}

/** A database that is there, as it is: for what must not make one, nor change one under a Weaver that runs on it. */
export async function openExisting(config: Config, log: Log, applicationName: string): Promise<System> {
  if (config.databaseUrl === null && !(await hasCluster(config.dataDir))) {
    throw new Error(`there is none in ${config.dataDir}, and DATABASE_URL is not set`)
  }
  const postgres = await openPostgres(config, log)
  try {
    const db = await openDatabase({ url: postgres.url, applicationName })
    return systemOn({ config, log, postgres, db, schemaVersion: await migratedTo(db.reader) })
  } catch (error) {
    await postgres.release()
    throw error
  }
}

type Opened = Pick<System, 'config' | 'log' | 'db' | 'schemaVersion'> & { postgres: Postgres }

function systemOn({ postgres, ...opened }: Opened): System {
  return {
    ...opened,
    url: postgres.url,
    lost: postgres.lost,
    async close() {
      await opened.db.close()
      await postgres.release()
    },
  }
}
