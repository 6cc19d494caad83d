import { readdirSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { migrateJobs } from '../jobs/runner.ts'
import { createEmptyDatabase } from '../tests/support/database.ts'
import { openDatabase, openOwnerPool, type Pool } from './client.ts'
import { migrate, pendingMigrations } from './migrate.ts'

const FILES = readdirSync(new URL('./migrations', import.meta.url)).toSorted()
const NEWEST = FILES.length
const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function emptyDatabase(): Promise<{ url: string; pool: Pool }> {
  const { url, drop } = await createEmptyDatabase()
  const pool = openOwnerPool(url)
  cleanups.push(drop, () => pool.end())
  return { url, pool }
}

test('an empty database gets every file, and then nothing is pending', async () => {
  const { pool } = await emptyDatabase()
  expect(await pendingMigrations(pool)).toEqual(FILES)
  expect(await migrate(pool, { before: migrateJobs })).toEqual({ version: NEWEST, applied: FILES })
  expect(await pendingMigrations(pool)).toEqual([])
  expect(await migrate(pool, { before: migrateJobs })).toEqual({ version: NEWEST, applied: [] })
})

test('two at once are safe: one applies, the other waits and finds nothing to do', async () => {
  const { pool } = await emptyDatabase()
  const results = await Promise.all([1, 2, 3].map(() => migrate(pool, { before: migrateJobs })))
  expect(results.map(({ applied }) => applied.length).toSorted()).toEqual([0, 0, NEWEST])
})

test('a database of a newer Weaver is refused, by both versions', async () => {
  const { pool } = await emptyDatabase()
  await migrate(pool, { before: migrateJobs })
  await pool.query(`insert into public.weaver_migrations (version, name) values (999, 'later')`)
  const message = `the database was made by a newer Weaver: it is at version 999, this one knows ${NEWEST}`
  await expect(migrate(pool)).rejects.toThrow(message)
  await expect(pendingMigrations(pool)).rejects.toThrow(message)
})

test('a file that was changed after it was applied is refused', async () => {
  const { pool } = await emptyDatabase()
  await migrate(pool, { before: migrateJobs })
  await pool.query(`update public.weaver_migrations set md5 = 'other' where version = 2`)
  await expect(migrate(pool)).rejects.toThrow(
    /MD5 checksum failed for migration \[2\].*check out the Weaver that made it/,
  )
})

test('a file that fails leaves nothing of itself, and is named', async () => {
  const { pool } = await emptyDatabase()
  await pool.query('create schema weaver; create table weaver.schedules (n int)')
  await expect(migrate(pool, { before: migrateJobs })).rejects.toThrow(/^migration 002\.do\.business_tables\.sql: /)
  const { rows } = await pool.query(`select to_regclass('weaver.runs') as runs, max(version)::int as version
    from public.weaver_migrations`)
  expect(rows).toEqual([{ runs: null, version: 1 }])
  await pool.query('drop table weaver.schedules')
  expect((await migrate(pool, { before: migrateJobs })).version).toBe(NEWEST)
})

test('an owner who is no superuser can migrate and work, once he is a member of the roles', async () => {
  const { url, pool } = await emptyDatabase()
  const owner = `weaver_owner_${new URL(url).pathname.slice(-8)}`
  const name = new URL(url).pathname.slice(1)
  await pool.query(`create role ${owner} login password 'pw'; alter database ${name} owner to ${owner};
    alter schema public owner to ${owner}`)
  const ownersUrl = new URL(url)
  ownersUrl.username = owner
  ownersUrl.password = 'pw'
  const owners = openOwnerPool(ownersUrl.href)
  cleanups.push(async () => {
    await owners.end()
    await pool.query(`reassign owned by ${owner} to current_user; drop owned by ${owner} cascade; drop role ${owner}`)
  })
  await expect(migrate(owners, { before: migrateJobs })).rejects.toThrow(
    `the database user ${owner} is not a member of the role weaver_walle (run as a superuser: grant weaver_walle to ${owner};)`,
  )
  await pool.query(`grant weaver_walle, weaver_reader to ${owner}`)
  expect((await migrate(owners, { before: migrateJobs })).version).toBe(NEWEST)
  const db = await openDatabase({ url: ownersUrl.href, applicationName: 'test' })
  expect(await db.reader.query('select count(*) as n from weaver.runs')).toEqual([{ n: 0 }])
  await db.close()
})

test('a database that is not migrated says what to run', async () => {
  const { url, pool } = await emptyDatabase()
  const stranger = `weaver_stranger_${new URL(url).pathname.slice(-8)}`
  await pool.query(`create role ${stranger} login password 'pw'`)
  cleanups.push(() => pool.query(`drop role ${stranger}`))
  const strangersUrl = new URL(url)
  strangersUrl.username = stranger
  strangersUrl.password = 'pw'
  await expect(openDatabase({ url: strangersUrl.href, applicationName: 'test' })).rejects.toThrow(
    'run `weaver migrate`',
  )
})
