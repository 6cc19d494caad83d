/** One strategy host as its parent sees it: a process that answers one request at a time, watched. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { StrategyFailure } from './failure.ts'
import { type Columns, createFrameReader, encodeFrame, type Frame } from './frames.ts'

export interface Answer {
  body: unknown
  columns: Columns
}

export interface RequestOptions {
  columns?: Columns
  /** Answers what the host asks while it works. An error of its own rejects the request as it is. */
  onCall?: (kind: string, body: unknown, columns: Columns) => Promise<{ body: unknown; columns?: Columns }>
  /** Overrides the pool's limit. */
  timeoutMs?: number
}

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

interface Pending {
  resolve: (answer: Answer) => void
  reject: (error: Error) => void
  options: RequestOptions
  deadline: number
  timeoutMs: number
  barIndex: number | null
  /** What went wrong in the parent while it answered the host: not the strategy's fault. */
  parentError: Error | null
  answering: boolean
  /** Was over its time at the last look: what it says may still be on its way to a parent that was busy itself. */
  late: boolean
}

/** Bytes of the host's stderr that reach the log; the rest is counted. */
const LOG_BYTES = 64_000
const PAGE_BYTES = 4096

export function startHost(options: HostOptions): HostProcess {
  const { timeoutMs, memoryLimitMb, now } = options
  // Time zone and locale are part of what a strategy computes with; nothing else of the environment is its business.
  const env = {
    TZ: 'UTC',
    LC_ALL: 'C',
    NO_COLOR: '1',
    ...(process.env.DENO_DIR ? { DENO_DIR: process.env.DENO_DIR } : {}),
  }
  const child = spawn(process.execPath, options.args, { stdio: ['pipe', 'pipe', 'pipe'], env })
  const tail = followErrors(child, options.log)
  let pending: Pending | null = null
  let ended = false
  let gone = (): void => {}
  const whenGone = new Promise<void>((resolve) => {
    gone = resolve
  })

  const settle = (finish: (request: Pending) => void): void => {
    const request = pending
    pending = null
    if (request) finish(request)
  }
  const fail = (message: string): void => {
    settle((request) => request.reject(request.parentError ?? failure(message, request.barIndex)))
    ended = true
    child.kill('SIGKILL')
  }
  const send = (frame: Frame): void => {
    for (const part of encodeFrame(frame)) child.stdin.write(part)
  }
  const answerCall = async (request: Pending, kind: string, body: unknown, columns: Columns): Promise<void> => {
    request.answering = true
    try {
      if (!request.options.onCall) throw new Error(`nobody answers the host's call ${kind}`)
      const answer = await request.options.onCall(kind, body, columns)
      if (pending === request) send({ message: { type: 'answer', body: answer.body }, columns: answer.columns ?? {} })
    } catch (error) {
      request.parentError = error instanceof Error ? error : new Error(String(error))
      if (pending === request) send({ message: { type: 'refusal', message: request.parentError.message }, columns: {} })
    }
    request.answering = false
    request.deadline = now() + request.timeoutMs
  }
  const hear = ({ message, columns }: Frame): void => {
    const request = pending
    if (request === null) return
    if (message.type === 'beat') {
      request.barIndex = message.bar_index
      request.deadline = now() + request.timeoutMs
    } else if (message.type === 'call') {
      void answerCall(request, message.kind, message.body, columns)
    } else if (message.type === 'reply') {
      settle(({ resolve }) => resolve({ body: message.body, columns }))
    } else if (message.type === 'failure') {
      const { type: _, ...told } = message
      settle(({ reject, parentError }) => reject(parentError ?? new StrategyFailure(told)))
    }
  }

  const read = createFrameReader(hear)
  child.stdout.on('data', (piece: Uint8Array) => {
    try {
      read(piece)
    } catch (error) {
      fail(`its host said what nobody understands: ${String(error)}`)
    }
  })
  // A host that is gone is told of by its exit; a write that came too late says nothing more.
  child.stdin.on('error', () => {})
  child.on('error', (error) => {
    fail(`its host could not be started: ${error.message}`)
    gone()
  })
  child.on('close', (code, signal) => {
    ended = true
    fail(deathOf(code, signal, tail(), memoryLimitMb))
    gone()
  })

  return {
    pid: child.pid ?? -1,
    get ended() {
      return ended
    },
    gone: whenGone,
    request: (kind, body, given = {}) =>
      new Promise<Answer>((resolve, reject) => {
        if (ended || pending) throw new Error(ended ? 'this host has ended' : 'this host is busy')
        const limit = given.timeoutMs ?? timeoutMs
        pending = {
          ...{ resolve, reject, options: given, deadline: now() + limit, timeoutMs: limit },
          ...{ barIndex: null, parentError: null, answering: false, late: false },
        }
        send({ message: { type: 'request', kind, body }, columns: given.columns ?? {} })
      }),
    async inspect() {
      if (ended || pending === null) return
      const overdue = !pending.answering && now() > pending.deadline
      if (overdue && pending.late) return fail(`ran longer than ${pending.timeoutMs} ms`)
      pending.late = overdue
      const bytes = await residentBytes(child.pid)
      if (bytes > memoryLimitMb * 1024 ** 2) fail(tooMuchMemory(memoryLimitMb))
    },
    kill() {
      fail('its host was stopped')
    },
  }
}

function failure(message: string, barIndex: number | null): StrategyFailure {
  return new StrategyFailure({ message, ...(barIndex === null ? {} : { bar_index: barIndex }) })
}

function tooMuchMemory(limitMb: number): string {
  return `used more than ${limitMb} MB of memory`
}

function deathOf(code: number | null, signal: string | null, errors: string, limitMb: number): string {
  if (/out of memory|Array buffer allocation failed/i.test(errors)) return tooMuchMemory(limitMb)
  // Both runtimes end when a module waits for something that can never happen.
  if (code === 13 || /top-level await/i.test(errors))
    return 'its file waits at its top for something that never happens'
  return `its host ended by itself (${signal ?? `exit code ${code}`})`
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
