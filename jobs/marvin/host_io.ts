/** The host's side of the conversation: one request at a time, read and written synchronously over stdio. */
import { readSync, writeSync } from 'node:fs'
import { type Columns, decodeFrame, encodeFrame, type Frame, PREFIX_BYTES, readPrefix } from './frames.ts'

export interface Reply {
  body: unknown
  columns?: Columns
}

export interface HostIo {
  /** Milliseconds of a clock that strategies cannot see. */
  now(): number
  /** Says that the strategy still gets on; resets the watchdog. Costs a system call: not at every tick. */
  heartbeat(at: { bar_index: number }): void
  /** Asks the parent and waits for its answer. */
  callParent(kind: string, body: unknown, columns?: Columns): { body: unknown; columns: Columns }
}

export type HostHandler = (body: unknown, columns: Columns, io: HostIo) => Reply | Promise<Reply>

const STDIN = 0
const STDOUT = 1
/** How long to wait when the other side has not written or read yet. */
const AGAIN_MS = 1

/** Captured before strategies are loaded: they have neither. */
const cell = new Int32Array(new SharedArrayBuffer(4))
const { wait } = Atomics
const now = performance.now.bind(performance)

/** Null at the end of the input: the parent is gone. */
export function readFrame(): Frame | null {
  const prefix = new Uint8Array(PREFIX_BYTES)
  if (!fill(prefix)) return null
  const size = readPrefix(prefix)
  const header = new Uint8Array(size.header)
  const columns = new Uint8Array(size.columns)
  return fill(header) && fill(columns) ? decodeFrame(header, columns) : null
}

function fill(target: Uint8Array): boolean {
  let filled = 0
  while (filled < target.length) {
    const read = again(() => readSync(STDIN, target, filled, target.length - filled, null))
    if (read === 0) return false
    filled += read
  }
  return true
}

export function writeFrame(frame: Frame): void {
  for (const part of encodeFrame(frame)) {
    let written = 0
    while (written < part.length) written += again(() => writeSync(STDOUT, part, written, part.length - written))
  }
}

/** Repeats a call that would have had to wait. */
function again(call: () => number): number {
  for (;;) {
    try {
      return call()
    } catch (error) {
      const code = (error as { code?: unknown }).code
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN' && code !== 'EWOULDBLOCK') throw error
      wait(cell, 0, 0, AGAIN_MS)
    }
  }
}

/** Serves requests until the parent closes the input. */
export async function serve(handlers: Readonly<Record<string, HostHandler>>): Promise<void> {
  for (;;) {
    const frame = readFrame()
    if (frame === null) return
    if (frame.message.type !== 'request') throw new Error(`the parent said ${frame.message.type} instead of asking`)
    writeFrame(await answer(handlers, frame.message, frame.columns))
  }
}

async function answer(
  handlers: Readonly<Record<string, HostHandler>>,
  request: { kind: string; body: unknown },
  columns: Columns,
): Promise<Frame> {
  let barIndex: number | undefined
  const io: HostIo = {
    now,
    heartbeat({ bar_index }) {
      barIndex = bar_index
      writeFrame({ message: { type: 'beat', bar_index }, columns: {} })
    },
    callParent,
  }
  try {
    const handler = handlers[request.kind]
    if (!handler) throw new Error(`this host knows no request ${request.kind}`)
    const reply = await handler(request.body, columns, io)
    return { message: { type: 'reply', body: reply.body }, columns: reply.columns ?? {} }
  } catch (error) {
    return { message: { type: 'failure', ...described(error, barIndex) }, columns: {} }
  }
}

function callParent(kind: string, body: unknown, columns: Columns = {}): { body: unknown; columns: Columns } {
  writeFrame({ message: { type: 'call', kind, body }, columns })
  const frame = readFrame()
  if (frame?.message.type === 'refusal') throw new Error(frame.message.message)
  if (frame?.message.type !== 'answer') throw new Error('the parent is gone')
  return { body: frame.message.body, columns: frame.columns }
}

const MAX_MESSAGE = 2_000
const MAX_STACK = 8_000

/** The error as text, files named as below strategies/. An error that knows its bar says so in `bar_index`. */
function described(
  error: unknown,
  barIndex: number | undefined,
): { message: string; stack?: string; bar_index?: number } {
  const thrown = error as { message?: unknown; stack?: unknown; bar_index?: unknown } | null | undefined
  const message =
    error instanceof Error ? `${error.name === 'Error' ? '' : `${error.name}: `}${error.message}` : String(error)
  const bar = typeof thrown?.bar_index === 'number' ? thrown.bar_index : barIndex
  return {
    message: shortPaths(message).slice(0, MAX_MESSAGE),
    ...(typeof thrown?.stack === 'string' ? { stack: shortPaths(thrown.stack).slice(0, MAX_STACK) } : {}),
    ...(bar === undefined ? {} : { bar_index: bar }),
  }
}

function shortPaths(text: string): string {
  return text.replace(/(file:\/\/)?[^\s()'"]*\/sources\/[0-9a-f]{64}\//g, 'strategies/').replace(/\?instance=\d+/g, '')
}
