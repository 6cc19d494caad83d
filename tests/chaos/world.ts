/** A real Weaver to be hurt: processes of its own on a Postgres of its own, each behind a proxy of its own. */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectOwner, openDatabase } from '../../db/client.ts'
import { LOCAL_SETTINGS } from '../../db/cluster.ts'
import type { Database } from '../../db/database.ts'
import { livePools } from '../../db/events/leases.ts'
import type { PreciseClock } from '../../jobs/glados/clock.ts'
import { FAST_DAYS, FAST_ORIGIN, fastDays, realNow } from '../support/fast_days.ts'
import { type OwnPostgres, startOwnPostgres } from '../support/own_postgres.ts'
import { type PgProxy, startPgProxy } from '../support/pg_proxy.ts'
import { pause, until } from '../support/until.ts'
import { freePort, launchWeaver, type WeaverProcess } from '../support/weaver_process.ts'

/** `parts`: two workers and an API on one Postgres; `start`: everything in one, which brings its own Postgres. */
export type Shape = 'parts' | 'start'

export interface Member {
  name: string
  command: 'start' | 'api' | 'worker'
  /** Null when the process brings its own Postgres. */
  proxy: PgProxy | null
  current(): WeaverProcess
  /** Ends that nobody asked for, with what the process said. */
  crashes: string[]
  /** Sends the signal and waits for the end, after which the process is started again. */
  end(signal: NodeJS.Signals): Promise<void>
  /** Resolves when the process is ready, also after it was started again. */
  ready(): Promise<void>
  stop(): Promise<void>
}

export type OwnerQuery = <Row extends object>(text: string, values?: readonly unknown[]) => Promise<Row[]>

export interface World {
  shape: Shape
  members: readonly Member[]
  /** Worker pools that live when nothing is wrong. */
  pools: number
  apiUrl: string
  /** Past the proxies, as `db`: for the load's checks. */
  databaseUrl: string
  db: Database
  /** What its paper runs go by, which is faster than the wall clock. */
  time: PreciseClock
  /** On a connection of its own. Waits for Postgres when it is away. */
  asOwner<T>(work: (query: OwnerQuery) => Promise<T>): Promise<T>
  ownerQuery: OwnerQuery
  /** Nothing is wanted of it any more. */
  over: AbortSignal
  postgres: {
    pid(): Promise<number>
    restart(): Promise<void>
    /** Where nobody else does it. */
    startAgain(): Promise<void>
  }
  close(): Promise<void>
}

/** A supervisor's pause before it starts a process again. */
const RESTART_PAUSE_MS = 100
const SLOW_RESTART_PAUSE_MS = 500
/** Kept from a power loss nothing is, from kills everything: Postgres still writes before it answers. */
const SETTINGS = { ...LOCAL_SETTINGS, fsync: 'off', shared_buffers: '64MB', max_connections: '200' }
/** Enough that no run waits for another. */
const WORKERS = { parts: '2', start: '4' }
const API_DEADLINE_MS = 60_000

function keepUp(
  name: string,
  command: Member['command'],
  env: Record<string, string>,
  proxy: PgProxy | null,
  options: readonly string[],
  log: (text: string) => void,
): Member {
  let process = launchWeaver(command, env, options)
  let asked = false
  let stopped = false
  const crashes: string[] = []
  process.ready.catch(() => {})
  const supervise = async () => {
    while (!stopped) {
      const { code, signal } = await process.ended
      if (stopped) return
      if (!asked) {
        crashes.push(process.output().slice(-2_000))
        log(`${name} ended by itself with ${code ?? signal}`)
      }
      await pause(asked ? RESTART_PAUSE_MS : SLOW_RESTART_PAUSE_MS)
      if (stopped) return
      asked = false
      process = launchWeaver(command, env, options)
      process.ready.catch(() => {})
    }
  }
  const supervision = supervise()
  return {
    name,
    command,
    proxy,
    current: () => process,
    crashes,
    async end(signal) {
      asked = true
      await process.end(signal)
    },
    async ready() {
      const isReady = () =>
        process.ready.then(
          () => !process.hasEnded(),
          () => false,
        )
      await until(`${name} to be ready`, isReady, API_DEADLINE_MS).catch((error: Error) => {
        throw new Error(`${error.message}\n${process.output().slice(-2_000)}`)
      })
    },
    async stop() {
      stopped = true
      await process.end('SIGKILL')
      await supervision
    },
  }
}

export interface WorldOptions {
  shape: Shape
  log: (text: string) => void
  /** Where Postgres keeps its data; default: the system's directory for temporary files. */
  dataWithin?: string
  /** How far the wall clocks of the first and the second worker are off, in milliseconds. */
  skews?: readonly number[]
}

const SKEW = new URL('../support/skewed_clock.mjs', import.meta.url).href
const FAST = ['--import', FAST_DAYS]
/** So much that no order is refused for the lack of it, and a fee with every fill. */
export const SIM_ENV = { SIM_CASH: '100000000', SIM_COMMISSION_BPS: '5' }

export async function openWorld(options: WorldOptions): Promise<World> {
  const dataDir = await mkdtemp(join(options.dataWithin ?? tmpdir(), 'weaver-chaos-'))
  await chmod(dataDir, 0o755)
  const port = await freePort()
  const origin = realNow()
  const common = {
    ...SIM_ENV,
    [FAST_ORIGIN]: String(origin),
    WEAVER_PORT: String(port),
    WEAVER_LOG_LEVEL: 'warn',
    WEAVER_WORKERS: WORKERS[options.shape],
  }
  const build = options.shape === 'parts' ? openParts : openAllInOne
  const { members, postgres, url, close } = await build(options, dataDir, common)
  await Promise.all(members.map((member) => member.ready()))
  const databaseUrl = await url()
  const db = await openDatabase({ url: databaseUrl, applicationName: 'weaver chaos', maxConnections: 3 })
  const over = new AbortController()
  // A pool registers itself just before its first fetch.
  const working = members.filter(({ command }) => command !== 'api').length
  const pools = await until('the workers to have registered', async () => {
    const live = await livePools(db)
    return live >= working && live
  })
  async function asOwner<T>(work: (query: OwnerQuery) => Promise<T>): Promise<T> {
    const options = { url: databaseUrl, applicationName: 'weaver chaos owner' }
    const client = await until('Postgres to answer', () => connectOwner(options).catch(() => null), API_DEADLINE_MS)
    try {
      return await work(
        async <Row extends object>(text: string, values: readonly unknown[] = []) =>
          (await client.query<Row>(text, [...values])).rows,
      )
    } finally {
      await client.end()
    }
  }
  return {
    shape: options.shape,
    members,
    pools,
    apiUrl: `http://127.0.0.1:${port}`,
    databaseUrl,
    db,
    time: fastDays(origin),
    over: over.signal,
    asOwner,
    ownerQuery: (text) => asOwner((query) => query(text)),
    postgres,
    async close() {
      over.abort()
      await db.close()
      await Promise.all(members.map((member) => member.stop()))
      await close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

interface Built {
  members: Member[]
  postgres: World['postgres']
  url(): Promise<string>
  close(): Promise<void>
}

async function openParts(options: WorldOptions, dataDir: string, env: Record<string, string>): Promise<Built> {
  const server = await startOwnPostgres(SETTINGS, options.dataWithin)
  await createDatabase(server)
  const proxies: PgProxy[] = []
  const member = async (name: string, command: 'api' | 'worker', skew: number): Promise<Member> => {
    const proxy = await startPgProxy({ host: '127.0.0.1', port: server.port })
    proxies.push(proxy)
    const url = new URL(server.url('weaver'))
    url.port = String(proxy.port)
    const own = { ...env, DATABASE_URL: url.href, WEAVER_DATA_DIR: join(dataDir, name), CHAOS_SKEW_MS: String(skew) }
    return keepUp(name, command, own, proxy, [...(skew === 0 ? [] : ['--import', SKEW]), ...FAST], options.log)
  }
  const [first = 0, second = 0] = options.skews ?? []
  // The API migrates first; the others find it done.
  const api = await member('api', 'api', 0)
  await api.ready()
  const members = [api, await member('worker-1', 'worker', first), await member('worker-2', 'worker', second)]
  return {
    members,
    url: async () => server.url('weaver'),
    postgres: {
      pid: server.pid,
      async restart() {
        await server.stop('immediate')
        await server.start()
      },
      startAgain: server.start,
    },
    async close() {
      await Promise.all(proxies.map((proxy) => proxy.close()))
      await server.remove()
    },
  }
}

async function createDatabase(server: OwnPostgres): Promise<void> {
  const client = await connectOwner({ url: server.url('postgres'), applicationName: 'weaver chaos owner' })
  await client.query('create database weaver')
  await client.end()
}

async function openAllInOne(options: WorldOptions, dataDir: string, env: Record<string, string>): Promise<Built> {
  const weaver = keepUp('weaver', 'start', { ...env, WEAVER_DATA_DIR: dataDir }, null, FAST, options.log)
  const home = join(dataDir, 'postgres')
  const pidFile = () => readFile(join(home, 'data', 'postmaster.pid'), 'utf8').catch(() => '0')
  const pid = async () => Number((await pidFile()).split('\n')[0])
  const killPostgres = async () => {
    const id = await pid()
    if (id > 0) process.kill(id, 'SIGKILL')
  }
  return {
    members: [weaver],
    async url() {
      const port = (await pidFile()).split('\n')[3] ?? (await readFile(join(home, 'port'), 'utf8'))
      return `postgres://weaver:${(await readFile(join(home, 'password'), 'utf8')).trim()}@127.0.0.1:${port}/weaver`
    },
    // Whoever brings its Postgres also starts it again.
    postgres: { pid, restart: killPostgres, startAgain: async () => {} },
    close: () => killPostgres().catch(() => {}),
  }
}
