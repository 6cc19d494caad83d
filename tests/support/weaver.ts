/** A whole Weaver in a process of its own, as a user starts it: data directory, port and database of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMigratedDatabase } from './database.ts'
import { freePort, launchWeaver } from './weaver_process.ts'

export interface StartedWeaver {
  url: string
  databaseUrl: string
  /** What it has printed so far, stdout and stderr. */
  output(): string
  /** kill -9; the database stays. */
  kill(): Promise<void>
  /** Starts again on the same database and port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export async function startWeaver(
  env: Record<string, string> = {},
  runtimeOptions: readonly string[] = [],
): Promise<StartedWeaver> {
  const database = await createMigratedDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'weaver-e2e-'))
  const port = await freePort()
  const settings = {
    DATABASE_URL: database.url,
    WEAVER_DATA_DIR: dataDir,
    WEAVER_PORT: String(port),
    WEAVER_LOG_LEVEL: 'warn',
    ...env,
  }
  let weaver = launchWeaver('start', settings, runtimeOptions)
  await weaver.ready
  return {
    url: `http://127.0.0.1:${port}`,
    databaseUrl: database.url,
    output: () => weaver.output(),
    kill: () => weaver.end('SIGKILL'),
    async restart() {
      weaver = launchWeaver('start', settings, runtimeOptions)
      await weaver.ready
    },
    async stop() {
      await weaver.end('SIGTERM')
      await database.drop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
