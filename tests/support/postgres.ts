/**
 * One Postgres for a test run (DATABASE_URL, else Docker, else embedded), with one migrated template database that
 * createTestDatabase copies. Stopped when the run ends, also when it fails or is killed.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { connectOwner, openOwnerPool } from '../../db/client.ts'
import { prepareCluster, readPostmaster, startServer, stopServer, THROWAWAY_SETTINGS, urlOf } from '../../db/cluster.ts'
import { migrate } from '../../db/migrate.ts'
import { migrateJobs } from '../../jobs/runner.ts'
import { withDatabase } from './database.ts'

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
  const home = await mkdtemp(join(tmpdir(), 'weaver-test-'))
  // As root the server runs as another user, who must get in.
  await chmod(home, 0o755)
  const cluster = await prepareCluster(join(home, 'postgres'))
  const port = await startServer(cluster, THROWAWAY_SETTINGS)
  const pid = (await readPostmaster(cluster))?.pid ?? 0
  // Outlives a test run that is killed, to end the server after it.
  const watchdog = spawn(
    '/bin/sh',
    [
      '-c',
      'while kill -0 "$1" 2>/dev/null; do sleep 1; done; kill -QUIT "$2"; sleep 1; rm -rf "$3"',
      ...['sh', String(process.pid), String(pid), home],
    ],
    { detached: true, stdio: 'ignore', cwd: '/' },
  )
  watchdog.unref()
  return {
    url: urlOf(cluster, port, 'postgres'),
    stop: async () => {
      watchdog.kill()
      await stopServer(cluster, 'immediate')
      await rm(home, { recursive: true, force: true })
    },
  }
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
