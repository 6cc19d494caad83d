/** One Weaver process, as a user starts it. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface WeaverProcess {
  pid: number
  /** What it has printed so far, stdout and stderr. */
  output(): string
  /** Rejects when it ends before it is ready, or takes too long. */
  ready: Promise<void>
  ended: Promise<Exit>
  hasEnded(): boolean
  /** It has been ready and has not ended. */
  isReady(): boolean
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<void>
}

const READY_MS = 60_000
const READY = /Weaver is ready|The workers are ready/
/** Of its output the newest is kept. */
const OUTPUT_CHARACTERS = 200_000
const ENTRY = new URL('../../weaver.ts', import.meta.url).pathname

export function launchWeaver(
  command: 'start' | 'api' | 'worker',
  env: Record<string, string>,
  runtimeOptions: readonly string[] = [],
): WeaverProcess {
  const child = spawn(process.execPath, [...runtimeOptions, ENTRY, command], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // A test that ends before its end must leave nothing at work.
  const endWithUs = () => child.kill('SIGKILL')
  process.once('exit', endWithUs)
  let output = ''
  let exit: Exit | null = null
  let wasReady = false
  const ready = Promise.withResolvers<void>()
  const ended = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      exit = { code, signal }
      process.off('exit', endWithUs)
      ready.reject(new Error(`weaver ${command} ended with ${code ?? signal}:\n${output}`))
      resolve(exit)
    })
  })
  const hear = (text: Buffer) => {
    output = `${output}${text}`.slice(-OUTPUT_CHARACTERS)
    if (wasReady || !READY.test(output)) return
    wasReady = true
    ready.resolve()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const late = () => ready.reject(new Error(`weaver ${command} is not ready:\n${output}`))
  const timer = setTimeout(late, READY_MS)
  ready.promise.catch(() => {}).finally(() => clearTimeout(timer))
  return {
    pid: child.pid ?? 0,
    output: () => output,
    ready: ready.promise,
    ended,
    hasEnded: () => exit !== null,
    isReady: () => exit === null && wasReady,
    async end(signal) {
      if (exit === null) child.kill(signal)
      await ended
    },
  }
}

/** Of the Postgres that a Weaver brings. */
export async function ownDatabaseUrl(dataDir: string): Promise<string> {
  const read = async (name: string) => (await readFile(join(dataDir, 'postgres', name), 'utf8')).trim()
  return `postgres://weaver:${await read('password')}@127.0.0.1:${await read('port')}/weaver`
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await new Promise((resolve) => server.close(resolve))
  return port
}
