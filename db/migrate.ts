/**
 * Brings a database to the newest file of db/migrations (`NNN.do.title.sql`, forward only). Every file commits together
 * with its line in the version table, so a kill at any instant leaves a whole number of files applied.
 */
import { fileURLToPath } from 'node:url'
import Postgrator from 'postgrator'
import type { Pool, PoolClient } from './client.ts'

const OLDEST_SERVER = 15
const VERSION_TABLE = 'public.weaver_migrations'
const MIGRATIONS = fileURLToPath(new URL('./migrations', import.meta.url))
/** Arbitrary, but always the same: whoever migrates a database holds it. */
const LOCK = "hashtextextended('weaver:migrate', 0)"

export interface MigrateOptions {
  /** Called first: our files refer to the queue's schema, so the caller brings that one up to date here. */
  before?: (pool: Pool) => Promise<void>
}

export interface Migrated {
  version: number
  applied: string[]
}

/** The folder may lie below one whose name means something to glob. */
function globOf(folder: string): string {
  return `${folder.replaceAll('\\', '/').replace(/[?*()[\]{}]/g, '[$&]')}/*.sql`
}

function postgratorOn(client: PoolClient): Postgrator {
  return new Postgrator({
    driver: 'pg',
    migrationPattern: globOf(MIGRATIONS),
    schemaTable: VERSION_TABLE,
    newline: 'LF',
    execQuery: (text: string) => client.query(text),
  })
}

async function refuseOldServer(client: PoolClient): Promise<void> {
  const { rows } = await client.query<{ number: string; name: string }>(
    `select current_setting('server_version_num') as number, current_setting('server_version') as name`,
  )
  const server = rows[0]
  if (server !== undefined && Math.floor(Number(server.number) / 10_000) < OLDEST_SERVER) {
    throw new Error(`Postgres ${server.name} is too old: Weaver needs ${OLDEST_SERVER} or newer`)
  }
}

async function versions(postgrator: Postgrator): Promise<{ database: number; newest: number }> {
  const database = await postgrator.getDatabaseVersion()
  const newest = await postgrator.getMaxVersion()
  if (database > newest) {
    throw new Error(
      `the database was made by a newer Weaver: it is at version ${database}, this one knows ${newest}. ` +
        'Run the newer Weaver, or point DATABASE_URL at another database.',
    )
  }
  return { database, newest }
}

async function applyFile(client: PoolClient, postgrator: Postgrator, version: number, file: string): Promise<void> {
  await client.query('begin')
  try {
    await postgrator.migrate(String(version))
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    if (error instanceof Error) {
      const hint = 'hint' in error && typeof error.hint === 'string' ? ` (${error.hint})` : ''
      error.message = `migration ${file}: ${error.message}${hint}${cureOf(error.message)}`
    }
    throw error
  }
}

/** postgrator compares what was applied with the files that there are. */
function cureOf(message: string): string {
  if (!message.includes('checksum')) return ''
  return (
    '. The database was made by files that differ from this checkout: check out the Weaver that made it, ' +
    'or point DATABASE_URL or WEAVER_DATA_DIR at a new one'
  )
}

function title(migration: Postgrator.Migration): string {
  return `${String(migration.version).padStart(3, '0')}.do.${migration.name}.sql`
}

async function applyAll(client: PoolClient): Promise<Migrated> {
  const postgrator = postgratorOn(client)
  const { database, newest } = await versions(postgrator)
  // With nothing to apply it still compares the checksums of the files that were.
  const files = (await postgrator.getMigrations()).filter(({ version }) => version > database)
  files.sort((a, b) => a.version - b.version)
  if (files.length === 0) await applyFile(client, postgrator, newest, 'checksums')
  for (const file of files) await applyFile(client, postgrator, file.version, title(file))
  return { version: newest, applied: files.map(title) }
}

/** Safe to call from several processes at once: the second waits, and finds nothing to do. */
export async function migrate(pool: Pool, { before }: MigrateOptions = {}): Promise<Migrated> {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    await refuseOldServer(client)
    await client.query('set idle_in_transaction_session_timeout = 0')
    await client.query(`select pg_advisory_lock(${LOCK})`)
    await before?.(pool)
    return await applyAll(client)
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw failure
  } finally {
    await client.query('select pg_advisory_unlock_all()').catch((error: Error) => {
      failure = error
    })
    client.release(failure)
  }
}

/** The files that are not applied yet, oldest first; fails on a database of a newer Weaver. */
export async function pendingMigrations(pool: Pool): Promise<string[]> {
  const client = await pool.connect()
  try {
    const postgrator = postgratorOn(client)
    const { database } = await versions(postgrator)
    const files = (await postgrator.getMigrations()).filter(({ version }) => version > database)
    return files.sort((a, b) => a.version - b.version).map(title)
  } finally {
    client.release()
  }
}
