/**
 * One Postgres for a test run (DATABASE_URL, else Docker, else embedded), with one migrated template database that
 * createTestDatabase copies. Stopped when the run ends, also when it fails or is killed.
 */
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import type { TestProject } from 'vitest/node'
import { connectOwner, openOwnerPool } from '../../db/client.ts'
import { THROWAWAY_SETTINGS } from '../../db/cluster.ts'
import { migrate } from '../../db/migrate.ts'
import { migrateJobs } from '../../jobs/runner.ts'
import { withDatabase } from './database.ts'
import { startOwnPostgres } from './own_postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    testServer: { url: string; template: string }
  }
}

const DOCKER_SOCKET = '/var/run/docker.sock'
const DOCKER_ANSWER_MS = 1_000
const CONTAINER_START_MS = 60_000

interface Server {
  url: string
  stop(): Promise<void>
}

function dockerAnswers(): Promise<boolean> {
  if (!existsSync(DOCKER_SOCKET)) return Promise.resolve(false)
  return new Promise((resolve) => {
    const ping = request({ socketPath: DOCKER_SOCKET, path: '/_ping', timeout: DOCKER_ANSWER_MS }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    ping.on('timeout', () => ping.destroy())
    ping.on('error', () => resolve(false))
    ping.end()
  })
}

async function startContainer(): Promise<Server> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const container = await new PostgreSqlContainer('postgres:18-alpine')
    .withCommand(['postgres', '-c', 'fsync=off', '-c', 'max_connections=200'])
    .withStartupTimeout(CONTAINER_START_MS)
    .start()
  return {
    url: container.getConnectionUri(),
    stop: async () => {
      await container.stop()
    },
  }
}

async function startEmbedded(): Promise<Server> {
  const postgres = await startOwnPostgres(THROWAWAY_SETTINGS)
  return { url: postgres.url('postgres'), stop: postgres.remove }
}

async function startServerOfChoice(): Promise<Server> {
  const existing = process.env.DATABASE_URL
  if (existing !== undefined && existing !== '') return { url: existing, stop: async () => {} }
  if (await dockerAnswers()) {
    try {
      return await startContainer()
    } catch (error) {
      process.stderr.write(
        `no Postgres from Docker (${error instanceof Error ? error.message : error}): using the embedded one\n`,
      )
    }
  }
  return startEmbedded()
}

async function execute(url: string, text: string): Promise<void> {
  const client = await connectOwner({ url, applicationName: 'weaver tests' })
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

async function migrateTemplate(url: string): Promise<void> {
  const pool = openOwnerPool(url)
  try {
    await migrate(pool, { before: migrateJobs })
  } finally {
    await pool.end()
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startServerOfChoice()
  const template = `weaver_template_${process.pid}_${Date.now().toString(36)}`
  try {
    await execute(server.url, `create database ${template}`)
    await migrateTemplate(withDatabase(server.url, template))
  } catch (error) {
    await execute(server.url, `drop database if exists ${template} with (force)`).catch(() => {})
    await server.stop()
    throw error
  }
  project.provide('testServer', { url: server.url, template })
  return async () => {
    await execute(server.url, `drop database if exists ${template} with (force)`)
    await server.stop()
  }
}
