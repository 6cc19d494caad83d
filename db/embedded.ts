/**
 * Postgres without asking: one server per data directory, shared by every Weaver process on it. Whoever comes first
 * starts it, whoever leaves last stops it; each process that uses it holds a shared advisory lock on a connection of its
 * own, so a process that was killed lets go by itself. Starting, joining and stopping happen under one file lock.
 */
import { access, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, connectOwner } from './client.ts'
import {
  type Cluster,
  isPostgres,
  LOCAL_SETTINGS,
  prepareCluster,
  readPostmaster,
  startServer,
  stopServer,
  trimLog,
  urlOf,
} from './cluster.ts'
import { type FileLock, fileLock, tryFileLock } from './filelock.ts'

const DATABASE = 'weaver'
const LOCK_TIMEOUT_MS = 120_000
/** A server that is there but does not answer yet replays its log, or stops. */
const ANSWER_TIMEOUT_MS = 60_000
const ANSWER_POLL_MS = 50
/** The server's log has no end of its own. */
const TRIM_EVERY_MS = 3_600_000
const REVIVE_PAUSE_MS = { first: 500, most: 5_000 }
const IN_USE = "hashtextextended('weaver:in-use', 0)"

export interface EmbeddedPostgres {
  url: string
  /** Settles when the server went away and came back elsewhere: the process should end. */
  lost: Promise<Error>
  release(): Promise<void>
}

export interface AcquireOptions {
  dataDir: string
  /** The server takes so many, if it is started here. */
  connections: number
  log?: (message: string) => void
}

/** Whether somebody has made a server in the data directory. */
export function hasCluster(dataDir: string): Promise<boolean> {
  return access(join(resolve(dataDir), 'postgres', 'data')).then(
    () => true,
    () => false,
  )
}

/** Only one `weaver start` per data directory; commands join it instead. */
export async function acquireStartLock(dataDir: string): Promise<FileLock> {
  const lock = await tryFileLock(join(resolve(dataDir), 'start.lock'))
  if ('release' in lock) return lock
  throw new Error(
    `Weaver is already running on ${resolve(dataDir)} (process ${lock.heldBy}): stop it first, or set WEAVER_DATA_DIR to another directory`,
  )
}

async function connectTo(cluster: Cluster, port: number): Promise<Client | null> {
  try {
    return await connectOwner({ url: urlOf(cluster, port, 'postgres'), applicationName: 'weaver keeper' })
  } catch {
    return null
  }
}

/** A connection to the server that runs on the cluster already; null when none does. */
async function joinRunning(cluster: Cluster): Promise<{ keeper: Client; port: number } | null> {
  const deadline = Date.now() + ANSWER_TIMEOUT_MS
  for (;;) {
    const postmaster = await readPostmaster(cluster)
    if (postmaster === null) return null
    if (postmaster.ready) {
      const keeper = await connectTo(cluster, postmaster.port)
      if (keeper !== null) return { keeper, port: postmaster.port }
    }
    if (!(await isPostgres(postmaster.pid))) {
      // Left behind by a kill. Postgres would refuse to start if the id is another program's by now.
      await rm(join(cluster.data, 'postmaster.pid'), { force: true })
      return null
    }
    if (Date.now() > deadline) {
      throw new Error(
        `the Postgres of ${cluster.data} (process ${postmaster.pid}) does not answer on port ${postmaster.port}: look into ${join(cluster.data, 'server.log')}, or end it and try again`,
      )
    }
    await sleep(ANSWER_POLL_MS)
  }
}

interface Held {
  keeper: Client
  url: string
}

async function startOrJoin(
  cluster: Cluster,
  { connections, log = () => {} }: Omit<AcquireOptions, 'dataDir'>,
): Promise<Held> {
  let server = await joinRunning(cluster)
  if (server === null) {
    const port = await startServer(cluster, { ...LOCAL_SETTINGS, max_connections: String(connections) })
    const keeper = await connectTo(cluster, port)
    if (keeper === null) throw new Error(`Postgres started on port ${port} but takes no connection`)
    server = { keeper, port }
    log(`Postgres started on port ${port}`)
  }
  const { keeper, port } = server
  await keeper.query(`select pg_advisory_lock_shared(${IN_USE})`)
  const { rowCount } = await keeper.query('select from pg_database where datname = $1', [DATABASE])
  if (rowCount === 0) await keeper.query(`create database ${DATABASE}`)
  return { keeper, url: urlOf(cluster, port, DATABASE) }
}

/** The last one out stops it. */
async function leave(cluster: Cluster, { keeper }: Held, log: (message: string) => void): Promise<void> {
  try {
    await keeper.query(`select pg_advisory_unlock_shared(${IN_USE})`)
    const { rows } = await keeper.query<{ alone: boolean }>(`select pg_try_advisory_lock(${IN_USE}) as alone`)
    if (rows[0]?.alone === true) {
      await stopServer(cluster)
      log('Postgres stopped')
    }
  } finally {
    await keeper.end().catch(() => {})
  }
}

function keepLogShort(cluster: Cluster, log: (message: string) => void): () => void {
  const trimming = setInterval(() => {
    trimLog(cluster).catch((error: Error) => log(`the log of Postgres cannot be cut: ${error.message}`))
  }, TRIM_EVERY_MS)
  trimming.unref()
  return () => clearInterval(trimming)
}

export async function acquirePostgres({
  dataDir,
  connections,
  log = () => {},
}: AcquireOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(dataDir)
  const underLock = async <T>(work: () => Promise<T>): Promise<T> => {
    const lock = await fileLock(join(directory, 'postgres.lock'), LOCK_TIMEOUT_MS)
    try {
      return await work()
    } finally {
      await lock.release()
    }
  }
  const { promise: lost, resolve: lose } = Promise.withResolvers<Error>()
  let released = false
  const enter = async () => {
    const cluster = await prepareCluster(join(directory, 'postgres'))
    return { cluster, held: await startOrJoin(cluster, { connections, log }) }
  }
  let { cluster, held } = await underLock(enter)
  const { url } = held

  const watch = (keeper: Client) => {
    keeper.once('end', () => {
      if (!released) void revive()
    })
  }
  const revive = async () => {
    log('Postgres went away: starting it again')
    let pauseMs = REVIVE_PAUSE_MS.first
    for (let back = false; !back && !released; pauseMs = Math.min(pauseMs * 2, REVIVE_PAUSE_MS.most)) {
      await sleep(pauseMs)
      // What keeps it from starting, such as a full disk, may pass: whoever makes room need not start Weaver again.
      back = await underLock(async () => {
        if (released) return true
        ;({ cluster, held } = await enter())
        watch(held.keeper)
        return true
      }).catch((error: Error) => {
        log(`Postgres does not start; it is tried again: ${error.message}`)
        return false
      })
    }
    if (held.url !== url) lose(new Error('Postgres came back on another port: restart Weaver'))
  }
  watch(held.keeper)
  const stopTrimming = keepLogShort(cluster, log)
  return {
    url,
    lost,
    async release() {
      if (released) return
      released = true
      stopTrimming()
      await underLock(() => leave(cluster, held, log))
    },
  }
}
