/** One strategy host as its parent sees it: a process that answers one request at a time, watched. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { HostLost } from './failure.ts'
import { createFrameReader, encodeFrame } from './frames.ts'
import { type Answer, createConversation, type RequestOptions } from './host_conversation.ts'

export interface HostProcess {
  readonly pid: number
  readonly ended: boolean
  request(kind: string, body: unknown, options?: RequestOptions): Promise<Answer>
  /** Looks at time and memory; kills the host when it is over a limit. */
  inspect(): Promise<void>
  kill(): void
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>
}

export interface HostOptions {
  /** Command line after the runtime's own path. */
  args: readonly string[]
  timeoutMs: number
  memoryLimitMb: number
  now: () => number
  log: (line: string) => void
}

/** Bytes of the host's stderr that reach the log; the rest is counted. */
const LOG_BYTES = 64_000
const PAGE_BYTES = 4096

export function startHost(options: HostOptions): HostProcess {
  const { memoryLimitMb } = options
  // Time zone and locale are part of what a strategy computes with; nothing else of the environment is its business.
  const env = {
    TZ: 'UTC',
    LC_ALL: 'C',
    NO_COLOR: '1',
    ...(process.env.DENO_DIR ? { DENO_DIR: process.env.DENO_DIR } : {}),
  }
  const child = spawn(process.execPath, options.args, { stdio: ['pipe', 'pipe', 'pipe'], env })
  const tail = followErrors(child, options.log)
  const conversation = createConversation({
    ...options,
    send(frame) {
      for (const part of encodeFrame(frame)) child.stdin.write(part)
    },
  })
  let ended = false
  let gone = (): void => {}
  const whenGone = new Promise<void>((resolve) => {
    gone = resolve
  })
  const fail = (cause: { strategy: string } | HostLost): void => {
    ended = true
    conversation.fail(cause)
    child.kill('SIGKILL')
  }

  const read = createFrameReader(conversation.hear)
  child.stdout.on('data', (piece: Uint8Array) => {
    try {
      read(piece)
    } catch (error) {
      fail({ strategy: `its host said what nobody understands: ${String(error)}` })
    }
  })
  // A host that is gone is told of by its exit; a write that came too late says nothing more.
  child.stdin.on('error', () => {})
  child.on('error', (error) => {
    fail(new HostLost(`a strategy host could not be started: ${error.message}`))
    gone()
  })
  child.on('close', (code, signal) => {
    fail(deathOf(code, signal, tail(), memoryLimitMb))
    gone()
  })

  return {
    pid: child.pid ?? -1,
    get ended() {
      return ended
    },
    gone: whenGone,
    request: (kind, body, given) =>
      ended ? Promise.reject(new HostLost('this strategy host has ended')) : conversation.request(kind, body, given),
    async inspect() {
      if (ended || !conversation.busy()) return
      const late = conversation.overdue()
      if (late) return fail({ strategy: late })
      const bytes = await residentBytes(child.pid)
      if (bytes > memoryLimitMb * 1024 ** 2) fail({ strategy: tooMuchMemory(memoryLimitMb) })
    },
    kill: () => fail(new HostLost('the strategy host was stopped')),
  }
}

function tooMuchMemory(limitMb: number): string {
  return `used more than ${limitMb} MB of memory`
}

/** Signals that somebody sends; those that a fault raises (ABRT, SEGV…) are the strategy's. */
const SENT = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT']

function deathOf(
  code: number | null,
  signal: string | null,
  errors: string,
  limitMb: number,
): { strategy: string } | HostLost {
  if (/out of memory|Array buffer allocation failed/i.test(errors)) return { strategy: tooMuchMemory(limitMb) }
  if (signal !== null && SENT.includes(signal))
    return new HostLost(`a strategy host was killed from outside (${signal})`)
  // Both runtimes end when a module waits for something that can never happen.
  if (code === 13 || /top-level await/i.test(errors)) {
    return { strategy: 'its file waits at its top for something that never happens' }
  }
  return { strategy: `its host ended by itself (${signal ?? `exit code ${code}`})` }
}

/** Passes the host's stderr on, bounded, and keeps its end. */
function followErrors(child: ChildProcessWithoutNullStreams, log: (line: string) => void): () => string {
  let left = LOG_BYTES
  let last = ''
  child.stderr.on('data', (piece: Uint8Array) => {
    const text = new TextDecoder().decode(piece)
    last = (last + text).slice(-8_000)
    if (left <= 0) return
    log(text.slice(0, left).trimEnd())
    left -= text.length
    if (left <= 0) log('(the rest of what this host prints is left out)')
  })
  return () => last
}

/** 0 where the system does not say. */
async function residentBytes(pid: number | undefined): Promise<number> {
  if (process.platform !== 'linux' || pid === undefined) return 0
  const text = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '')
  return Number(text.split(' ')[1] ?? 0) * PAGE_BYTES
}
