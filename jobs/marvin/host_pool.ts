/**
 * Marvin's hosts: processes in which strategies run, so that one that throws, hangs, floods or leaks ends its own run and
 * nothing else. A host serves one request at a time; one that had to be killed is replaced when the next is needed.
 */
import { realpathSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { HostLost } from './failure.ts'
import type { Answer, RequestOptions } from './host_conversation.ts'
import { type HostProcess, startHost } from './host_process.ts'
import { type Reaper, startReaper } from './host_reaper.ts'

const PROGRAM = fileURLToPath(new URL('../../', import.meta.url))
/** What of the program a host reads: not the folder itself, in which the configuration lies. */
const PARTS = ['jobs', 'db', 'strategies', 'node_modules', 'package.json', 'deno.json']
/** The program of a host as it is installed. */
export const HOST_ENTRY = join(PROGRAM, 'jobs', 'hosts', 'main.ts')

export interface HostPoolOptions {
  /** Most hosts at a time. */
  size: number
  /** The host's program: jobs/hosts/main.ts. */
  entry: string
  /** Folders that hosts read besides the program's own: where sources are put. */
  readable: readonly string[]
  /** Longest that a strategy may be silent. */
  timeoutMs: number
  memoryLimitMb: number
  now: () => number
  sleep: (ms: number) => Promise<void>
  log: (line: string) => void
  /** How often time and memory are looked at. */
  inspectEveryMs?: number
}

export interface Host {
  readonly pid: number
  /** True when this host served `prefer` before and may still hold its data. */
  readonly warm: boolean
  request(kind: string, body: unknown, options?: RequestOptions): Promise<Answer>
}

export interface HostPool {
  readonly size: number
  /** Lends a host for as long as `work` takes, the one that served `prefer` if it is free. Waits when all are lent. */
  withHost<T>(work: (host: Host) => Promise<T>, options?: { prefer?: string }): Promise<T>
  counts(): HostCounts
  /** Kills the hosts; what they were asked rejects with HostLost. */
  close(): Promise<void>
}

export interface HostCounts {
  open: number
  busy: number
  /** Requests that wait for a host. */
  waiting: number
  /** Ever since the pool was made. */
  started: number
  /** Of those that were started: ended before the pool was closed, by themselves or for what they did. */
  lost: number
}

interface Seat {
  host: HostProcess
  lent: boolean
  /** What it served, the newest last. */
  served: string[]
}

/** How many runs' names a host is remembered by. */
const REMEMBERED = 8
/** How often time and memory are looked at unless said otherwise. */
const INSPECT_EVERY_MS = 200
/** Requests that may wait for a host. */
const MAX_WAITING = 10_000

export function createHostPool(options: HostPoolOptions): HostPool {
  const { size, sleep, log } = options
  const seats = createSeats(options)
  const waiting: { prefer: string | undefined; take: (seat: Seat) => void; refuse: (error: Error) => void }[] = []
  let closed = false
  let watching = false

  const acquire = (prefer: string | undefined): Promise<Seat> => {
    if (closed) return Promise.reject(new HostLost('the strategy hosts are stopped'))
    const seat = seats.take(prefer)
    if (seat) return Promise.resolve(seat)
    if (waiting.length >= MAX_WAITING) {
      return Promise.reject(new Error(`more than ${MAX_WAITING} requests wait for a strategy host`))
    }
    return new Promise((taken, refuse) => waiting.push({ prefer, take: taken, refuse }))
  }
  const release = (seat: Seat): void => {
    seat.lent = false
    const next = waiting[0]
    const free = next && !closed ? seats.take(next.prefer) : null
    if (!next || !free) return
    waiting.shift()
    next.take(free)
  }
  const watch = async (): Promise<void> => {
    if (watching) return
    watching = true
    while (!closed && seats.all().some(({ lent }) => lent)) {
      await sleep(options.inspectEveryMs ?? INSPECT_EVERY_MS)
      for (const { host } of seats.all()) await host.inspect()
    }
    watching = false
  }

  return {
    size,
    async withHost(work, { prefer } = {}) {
      const seat = await acquire(prefer)
      const warm = prefer !== undefined && seat.served.includes(prefer)
      if (prefer !== undefined)
        seat.served = [...seat.served.filter((name) => name !== prefer), prefer].slice(-REMEMBERED)
      watch().catch((error) => log(`watching the strategy hosts: ${String(error)}`))
      try {
        return await work({ pid: seat.host.pid, warm, request: seat.host.request })
      } finally {
        release(seat)
      }
    },
    counts: () => ({ ...seats.counts(), waiting: waiting.length }),
    async close() {
      closed = true
      for (const { refuse } of waiting.splice(0)) refuse(new HostLost('the strategy hosts are stopped'))
      await seats.close()
    },
  }
}

interface Seats {
  all(): readonly Seat[]
  /** Null when all are lent and no more may be started. */
  take(prefer: string | undefined): Seat | null
  counts(): Omit<HostCounts, 'waiting'>
  close(): Promise<void>
}

function createSeats(options: HostPoolOptions): Seats {
  const seats = new Set<Seat>()
  let reaper: Reaper | null = null
  let started = 0
  let lost = 0
  let closing = false

  const open = (): Seat => {
    const host = startHost({ ...options, args: hostArguments(options) })
    const seat: Seat = { host, lent: true, served: [] }
    seats.add(seat)
    started += 1
    reaper ??= startReaper()
    reaper.add(host.pid)
    void host.gone.then(() => {
      seats.delete(seat)
      if (!closing) lost += 1
      reaper?.remove(host.pid)
    })
    return seat
  }
  const lend = (seat: Seat): Seat => {
    seat.lent = true
    // The least recently lent is the first of the idle ones.
    seats.delete(seat)
    seats.add(seat)
    return seat
  }
  return {
    all: () => [...seats],
    take(prefer) {
      for (const seat of seats) if (seat.host.ended) seats.delete(seat)
      const idle = [...seats].filter(({ lent }) => !lent)
      const known = prefer === undefined ? undefined : idle.find(({ served }) => served.includes(prefer))
      const unused = known ?? idle.find(({ served }) => served.length === 0)
      if (unused) return lend(unused)
      if (seats.size < options.size) return open()
      return idle[0] ? lend(idle[0]) : null
    },
    counts: () => ({ open: seats.size, busy: [...seats].filter(({ lent }) => lent).length, started, lost }),
    async close() {
      closing = true
      const hosts = [...seats].map(({ host }) => host)
      for (const host of hosts) host.kill()
      await Promise.all(hosts.map(({ gone }) => gone))
      reaper?.end()
    },
  }
}

/** A folder by the name given and by its real one: runtimes resolve links before they look whether it may be read. */
function namesOf(folder: string): string[] {
  const name = resolve(folder)
  try {
    return [...new Set([name, realpathSync(name)])]
  } catch {
    return [name]
  }
}

function hostArguments({ entry, readable, memoryLimitMb }: HostPoolOptions): string[] {
  const folders = [...PARTS.map((part) => join(PROGRAM, part)), dirname(resolve(entry)), ...readable].flatMap(namesOf)
  const flags = ['--disallow-code-generation-from-strings', `--max-old-space-size=${memoryLimitMb}`]
  if (process.versions.deno) {
    const permissions = ['--no-prompt', '--quiet', '--no-remote', '--cached-only', `--allow-read=${folders.join(',')}`]
    return ['run', ...permissions, `--v8-flags=${flags.join(',')}`, resolve(entry)]
  }
  const permissions = ['--permission', ...folders.map((folder) => `--allow-fs-read=${folder}`)]
  return [...flags, ...permissions, '--no-warnings', resolve(entry)]
}
