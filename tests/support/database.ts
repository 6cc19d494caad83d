/** A migrated database of its own for a test file or a test, in about 50 ms. */
import { randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import { connectOwner, openDatabase } from '../../db/client.ts'
import type { Database } from '../../db/database.ts'

export interface TestDatabase {
  /** Of the database's owner: what DATABASE_URL would be. */
  url: string
  db: Database
  drop(): Promise<void>
}

export function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}

async function onServer(text: string): Promise<void> {
  const client = await connectOwner({ url: inject('testServer').url, applicationName: 'weaver tests' })
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** An empty database, not migrated. */
export async function createEmptyDatabase(template = 'template1'): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `weaver_test_${randomUUID().replaceAll('-', '')}`
  await onServer(`create database ${name} template ${template}`)
  return {
    url: withDatabase(inject('testServer').url, name),
    drop: () => onServer(`drop database if exists ${name} with (force)`),
  }
}

/** For a Weaver of its own, which finds it as the last one left it: migrated. */
export function createMigratedDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  return createEmptyDatabase(inject('testServer').template)
}

export async function createTestDatabase(): Promise<TestDatabase> {
  const { url, drop } = await createMigratedDatabase()
  const db = await openDatabase({ url, applicationName: 'weaver test', maxConnections: 5 })
  return {
    url,
    db,
    async drop() {
      await db.close()
      await drop()
    },
  }
}
