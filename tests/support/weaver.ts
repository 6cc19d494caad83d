/** A whole Weaver in a process of its own, as a user starts it: data directory, port and database of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEmptyDatabase } from './database.ts'

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

const READY_MS = 60_000
const ENTRY = new URL('../../weaver.ts', import.meta.url).pathname

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await new Promise((resolve) => server.close(resolve))
  return port
}

export async function startWeaver(env: Record<string, string> = {}): Promise<StartedWeaver> {
  const database = await createEmptyDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'weaver-e2e-'))
  const port = await freePort()
  const settings = {
    ...process.env,
    DATABASE_URL: database.url,
    WEAVER_DATA_DIR: dataDir,
    WEAVER_PORT: String(port),
    WEAVER_LOG_LEVEL: 'warn',
    ...env,
  }
  let output = ''
  let child: ChildProcess

  const boot = async () => {
    child = spawn(process.execPath, [ENTRY, 'start'], { env: settings, stdio: ['ignore', 'pipe', 'pipe'] })
    const ready = Promise.withResolvers<void>()
    const hear = (text: Buffer) => {
      output += text
      if (output.includes('Weaver is ready')) ready.resolve()
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.once('exit', (code) => ready.reject(new Error(`weaver start ended with ${code}:\n${output}`)))
    const timer = setTimeout(() => ready.reject(new Error(`weaver start is not ready:\n${output}`)), READY_MS)
    await ready.promise.finally(() => clearTimeout(timer))
  }
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  await boot()
  return {
    url: `http://127.0.0.1:${port}`,
    databaseUrl: database.url,
    output: () => output,
    kill: () => end('SIGKILL'),
    async restart() {
      output = ''
      await boot()
    },
    async stop() {
      await end('SIGTERM')
      await database.drop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
