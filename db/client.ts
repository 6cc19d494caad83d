/**
 * The only door to Postgres, and the only import of `pg`. A connection that is lost never ends the process: its queries
 * reject, its pool opens another one.
 */
import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { parseIntoClientConfig } from 'pg-connection-string'
import { from as copyFromStdin } from 'pg-copy-streams'
import { CopyOut } from './copy_out.ts'
import type { Database, Listener, ListenerHealth, PoolHealth, Reader, Session, WriteTx } from './database.ts'
import { named, namedError } from './unavailable.ts'
import { parserOf } from './values.ts'

export type Pool = pg.Pool
export type PoolClient = pg.PoolClient
export type Client = pg.Client

const CONNECT_TIMEOUT_MS = 10_000
const READ_TIMEOUT_MS = 30_000
/** Long enough to COPY a million candles. */
const WRITE_TIMEOUT_MS = 300_000
/** The server answers first when it can: the client gives up this much later, on a server that says nothing at all. */
const CLIENT_GRACE_MS = 5_000
const IDLE_IN_TRANSACTION_MS = 60_000
const KEEPALIVE_DELAY_MS = 5_000
/** Of a process that does not say. */
export const CONNECTIONS_PER_POOL = 10
const LISTEN_BACKOFF_MS = { first: 100, most: 5_000 }
/** How often a listener notifies itself, and how long it waits to hear that. */
const LISTEN_CHECK_MS = 10_000

export interface ConnectOptions {
  url: string
  /** Shown in pg_stat_activity. */
  applicationName: string
}

export type DatabaseOptions = ConnectOptions & {
  /** Of the reading and of the writing pool each; sessions and listeners come on top. */
  maxConnections?: number
}

type Role = 'weaver_reader' | 'weaver_walle'

/** Without password, for messages. */
export function describeUrl(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname || 'localhost'}:${port || '5432'}${pathname}`
  } catch {
    return 'DATABASE_URL (not a URL)'
  }
}

function connectionConfig({ url, applicationName }: ConnectOptions, statementTimeoutMs: number): pg.PoolConfig {
  return {
    // In its parts: the driver hides a password from whoever prints a pool, and leaves a whole address as it is.
    ...parseIntoClientConfig(url),
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
    ...(statementTimeoutMs > 0 && {
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + CLIENT_GRACE_MS,
    }),
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    types: { getTypeParser: parserOf(pg.types.getTypeParser as never) as typeof pg.types.getTypeParser },
  }
}

function ignoreLostConnection(): void {
  // The query under way rejects with the cause and the pool drops the client; without a listener Node would exit.
}

/** The server's keepalives make it notice a client machine that vanished, and free its locks, within seconds. */
async function prepareConnection(client: pg.ClientBase, role: Role): Promise<void> {
  client.on('error', ignoreLostConnection)
  try {
    await client.query(
      `set role ${role};
       set timezone = 'UTC';
       set datestyle = 'ISO, YMD';
       set tcp_keepalives_idle = 5;
       set tcp_keepalives_interval = 2;
       set tcp_keepalives_count = 3`,
    )
    // A transaction says that it writes: what is sent with one that then does not begin writes nothing.
    if (role === 'weaver_walle') await client.query('set default_transaction_read_only = on')
  } catch (error) {
    if (error instanceof pg.DatabaseError && (error.code === '22023' || error.code === '42501')) {
      throw new Error(`${error.message}: the database is not migrated for this user yet, run \`weaver migrate\``, {
        cause: error,
      })
    }
    throw error
  }
}

function openPool(options: DatabaseOptions, role: Role, statementTimeoutMs: number): pg.Pool {
  const pool = new pg.Pool({
    ...connectionConfig(options, statementTimeoutMs),
    max: options.maxConnections ?? CONNECTIONS_PER_POOL,
    onConnect: (client) => prepareConnection(client, role),
  })
  pool.on('error', ignoreLostConnection)
  return pool
}

/**
 * Connections of the connecting user, who owns the tables: for migrations and for graphile-worker. No time limits on
 * statements, because a migration may take long; the driver's own value parsers, because graphile-worker expects them.
 * `flush`: see WriteOptions.
 */
export function openOwnerPool(
  url: string,
  options: { applicationName?: string; maxConnections?: number; flush?: boolean } = {},
): Pool {
  const { types: _ours, ...config } = connectionConfig(
    { url, applicationName: options.applicationName ?? 'weaver owner' },
    0,
  )
  const pool = new pg.Pool({
    ...config,
    max: options.maxConnections ?? CONNECTIONS_PER_POOL,
    ...(options.flush === false && {
      onConnect: async (client) => {
        await client.query('set synchronous_commit = off')
      },
    }),
  })
  pool.on('error', ignoreLostConnection)
  pool.on('connect', (client) => client.on('error', ignoreLostConnection))
  return pool
}

/** Throws, without the password, when nobody serves under the URL or the user may not in. */
export async function mustAnswer(url: string): Promise<void> {
  const pool = openOwnerPool(url, { maxConnections: 1 })
  try {
    await pool.query('select 1')
  } catch (error) {
    // Of a name with several addresses the message is empty.
    const cause = error instanceof Error ? error.message || String((error as { code?: unknown }).code) : String(error)
    throw new Error(
      `cannot use the Postgres at ${describeUrl(url)}: ${cause}. Start it, or correct DATABASE_URL; without DATABASE_URL Weaver brings its own`,
    )
  } finally {
    await pool.end()
  }
}

/** A connection that cannot be trusted any more (open transaction, query still running) is closed, not reused. */
async function rollback(client: pg.PoolClient): Promise<void> {
  try {
    await client.query('rollback')
    setPipelined(client, false)
    client.release()
  } catch (error) {
    client.release(error instanceof Error ? error : true)
  }
}

function values(of: readonly unknown[] | undefined): unknown[] {
  return of === undefined ? [] : [...of]
}

/** Texts that are prepared, once a connection: to plan most of them takes longer than to run them. */
const MOST_PREPARED = 400
const prepared = new Map<string, string>()

function statement(text: string, parameters: readonly unknown[] | undefined): pg.QueryConfig {
  const known = prepared.get(text)
  // Texts of which there is no end (by length of a list, say) go unprepared from then on.
  const name = known ?? (prepared.size < MOST_PREPARED ? `weaver ${prepared.size}` : undefined)
  if (known === undefined && name !== undefined) prepared.set(text, name)
  return { text, values: values(parameters), ...(name === undefined ? {} : { name }) }
}

/** Where a reader's statements go: a connection, or a pool that lends one for the time of a statement. */
function readerOn(use: () => pg.ClientBase | pg.Pool): Reader {
  return {
    async query<Row extends object>(text: string, parameters?: readonly unknown[]) {
      return (await named(use().query<Row>(text, values(parameters)))).rows
    },
    async copyTo(text) {
      const target = use()
      if (!(target instanceof pg.Pool)) return named(collect(target, text))
      const client = await named(target.connect())
      try {
        const bytes = await named(collect(client, text))
        client.release()
        return bytes
      } catch (error) {
        client.release(true)
        throw error
      }
    },
  }
}

function collect(client: pg.ClientBase, text: string): Promise<Buffer> {
  return client.query(new CopyOut(text)).bytes
}

/**
 * Statements go out without waiting for the answers to those before them; the server takes them in their order, and after
 * one that fails refuses the rest. A copy has the connection for itself: the driver cannot send it among others.
 */
function setPipelined(client: pg.PoolClient, on: boolean): void {
  Object.assign(client, { pipeline: on })
}

/** What `work` gets: usable until its transaction ends, an error after. */
function transactionOn(client: pg.PoolClient): {
  tx: WriteTx
  end: () => void
  /** Rejects with the error of the first statement that failed of those whose answers nobody waits for. */
  sent: () => Promise<unknown>
  /** What made the server refuse the rest. */
  causeOf: (error: unknown) => unknown
} {
  let open = true
  let firstError: unknown
  const under = new Set<Promise<unknown>>()
  const unheeded: Promise<unknown>[] = []
  let copying: Promise<unknown> | null = null
  const use = () => {
    if (!open) throw new Error('this transaction has ended: await every query inside of it')
    return client
  }
  const send = <Row extends object>(text: string, parameters?: readonly unknown[]): Promise<pg.QueryResult<Row>> => {
    const sent = named(use().query<Row>(statement(text, parameters)))
    under.add(sent)
    sent.catch((error) => (firstError ??= error)).finally(() => under.delete(sent))
    return sent
  }
  const query = async <Row extends object>(text: string, parameters?: readonly unknown[]) => {
    while (copying !== null) await copying
    return send<Row>(text, parameters)
  }
  async function alone<T>(copy: (on: pg.PoolClient) => Promise<T>): Promise<T> {
    while (copying !== null) await copying
    const free = Promise.withResolvers<void>()
    copying = free.promise
    try {
      await Promise.allSettled(under)
      setPipelined(use(), false)
      return await copy(client)
    } finally {
      setPipelined(client, true)
      copying = null
      free.resolve()
    }
  }
  const tx: WriteTx = {
    writable: true,
    query: async (text, parameters) => (await query<never>(text, parameters)).rows,
    execute: async (text, parameters) => (await query(text, parameters)).rowCount ?? 0,
    send(text, parameters) {
      const answer = query(text, parameters)
      answer.catch(ignoreLostConnection)
      unheeded.push(answer)
    },
    copyTo: (text) => alone((on) => named(collect(on, text))),
    copyFrom: (text: string, source: Readable) =>
      alone(async (on) => {
        const sink = on.query(copyFromStdin(text))
        await named(pipeline(source, sink))
        return sink.rowCount
      }),
  }
  return {
    tx,
    end: () => {
      open = false
    },
    sent: () => Promise.all(unheeded),
    causeOf: (error) => (isRefusedRest(error) ? (firstError ?? error) : error),
  }
}

/** A statement that came after the one that failed. */
const isRefusedRest = (error: unknown) => error instanceof pg.DatabaseError && error.code === '25P02'

const BEGIN_WRITE = 'begin isolation level read committed read write'
const BEGIN_UNFLUSHED = `${BEGIN_WRITE}; set local synchronous_commit = off`

async function inTransaction<T>(pool: pg.Pool, begin: string, work: (tx: WriteTx) => Promise<T>): Promise<T> {
  const client = await named(pool.connect())
  const { tx, end, sent, causeOf } = transactionOn(client)
  setPipelined(client, true)
  try {
    // With the first statement, not before it.
    const begun = named(client.query(begin))
    begun.catch(ignoreLostConnection)
    const result = await work(tx).catch(async (error) => {
      await begun
      throw causeOf(error)
    })
    end()
    // Behind what was sent and not waited for: of a transaction in which something failed it makes a rollback.
    const committed = named(client.query('commit'))
    committed.catch(ignoreLostConnection)
    await begun
    await sent()
    const { command } = await committed
    // Postgres answers the commit of a failed transaction with ROLLBACK, and no error.
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back: a statement in it had failed')
    setPipelined(client, false)
    client.release()
    return result
  } catch (error) {
    end()
    await rollback(client)
    throw error
  }
}

async function connectAlone(options: ConnectOptions, queryTimeoutMs: number): Promise<pg.Client> {
  const client = new pg.Client(connectionConfig(options, queryTimeoutMs))
  client.on('error', ignoreLostConnection)
  try {
    await client.connect()
    await prepareConnection(client, 'weaver_reader')
    return client
  } catch (error) {
    await client.end().catch(ignoreLostConnection)
    throw namedError(error)
  }
}

async function openSession(options: ConnectOptions): Promise<Session> {
  const client = await connectAlone(options, READ_TIMEOUT_MS)
  const { promise: lost, resolve } = Promise.withResolvers<Error | null>()
  let closing = false
  client.on('error', (error) => resolve(error))
  client.on('end', () => resolve(closing ? null : new Error('the database connection was closed')))
  return {
    ...readerOn(() => client),
    lost,
    async close() {
      closing = true
      await client.end()
    },
  }
}

type ListenHandlers = Parameters<Database['listen']>[1]

/** Of something that may fail while nobody waits for it. */
function expectation(): PromiseWithResolvers<void> {
  const expected = Promise.withResolvers<void>()
  expected.promise.catch(ignoreLostConnection)
  return expected
}

/** One listening connection; gives the promise of its end. */
async function listenOnce(
  options: ConnectOptions,
  handlers: ListenHandlers,
  health: ListenerHealth,
): Promise<{ client: pg.Client; ended: Promise<void> }> {
  const client = await connectAlone(options, LISTEN_CHECK_MS)
  const ended = new Promise<void>((resolve) => client.once('end', () => resolve()))
  const ping = `weaver_ping_${randomUUID()}`
  let pong = expectation()
  client.on('notification', ({ channel }) => (channel === ping ? pong.resolve() : handlers.onNotify()))
  try {
    await client.query(`listen ${pg.escapeIdentifier(health.channel)}; listen ${pg.escapeIdentifier(ping)}`)
  } catch (error) {
    await client.end().catch(ignoreLostConnection)
    throw error
  }
  // A half-open connection, or one whose LISTEN a proxy gave to another, looks silent, not broken.
  const check = async () => {
    const sent = Date.now()
    pong = expectation()
    const tooLong = setTimeout(() => pong.reject(new Error('the listener does not hear itself')), LISTEN_CHECK_MS)
    try {
      await Promise.all([client.query('select pg_notify($1, $2)', [ping, '']), pong.promise])
      Object.assign(health, { heardAt: Date.now(), roundTripMs: Date.now() - sent })
    } catch {
      await client.end().catch(ignoreLostConnection)
    } finally {
      clearTimeout(tooLong)
    }
  }
  const checks = setInterval(() => void check(), LISTEN_CHECK_MS)
  ended.finally(() => {
    clearInterval(checks)
    pong.reject(new Error('the connection has ended'))
    health.connected = false
  })
  void check()
  health.connected = true
  return { client, ended }
}

async function listen(
  options: ConnectOptions,
  channel: string,
  handlers: ListenHandlers,
  all: Set<ListenerHealth>,
): Promise<Listener> {
  const health: ListenerHealth = { channel, connected: false, reconnects: 0, heardAt: null, roundTripMs: null }
  const closed = Promise.withResolvers<void>()
  let open = true
  let current = await listenOnce(options, handlers, health)
  all.add(health)
  handlers.onReady()

  const keepListening = async () => {
    let backoff = LISTEN_BACKOFF_MS.first
    while (open) {
      await current.ended
      while (open) {
        try {
          current = await listenOnce(options, handlers, health)
          health.reconnects += 1
          if (!open) await current.client.end().catch(ignoreLostConnection)
          else handlers.onReady()
          backoff = LISTEN_BACKOFF_MS.first
          break
        } catch {
          const jitter = 0.5 + Math.random()
          let timer: ReturnType<typeof setTimeout> | undefined
          const pause = new Promise<void>((resolve) => {
            timer = setTimeout(resolve, backoff * jitter)
          })
          await Promise.race([pause, closed.promise])
          clearTimeout(timer)
          backoff = Math.min(backoff * 2, LISTEN_BACKOFF_MS.most)
        }
      }
    }
  }
  const done = keepListening()
  return {
    async close() {
      open = false
      all.delete(health)
      closed.resolve()
      await current.client.end().catch(ignoreLostConnection)
      await done
    },
  }
}

const poolHealth = ({ totalCount, idleCount, waitingCount, options }: pg.Pool): PoolHealth => ({
  open: totalCount,
  idle: idleCount,
  waiting: waitingCount,
  most: options.max,
})

export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const readPool = openPool(options, 'weaver_reader', READ_TIMEOUT_MS)
  const writePool = openPool(options, 'weaver_walle', WRITE_TIMEOUT_MS)
  const listeners = new Set<ListenerHealth>()
  const close = async () => {
    await Promise.all([readPool.end(), writePool.end()])
  }
  try {
    await Promise.all([readPool.query('select 1'), writePool.query('select 1')])
  } catch (error) {
    await close()
    const cause = error instanceof Error ? error.message || String(error) : String(error)
    throw new Error(`Postgres at ${describeUrl(options.url)} does not serve Weaver: ${cause}`, { cause: error })
  }
  return {
    reader: readerOn(() => readPool),
    read: (work) => inTransaction(readPool, 'begin isolation level repeatable read read only', work),
    write: (work, { flush = true } = {}) => inTransaction(writePool, flush ? BEGIN_WRITE : BEGIN_UNFLUSHED, work),
    session: () => openSession(options),
    listen: (channel, handlers) => listen(options, channel, handlers, listeners),
    health: () => ({
      pools: { read: poolHealth(readPool), write: poolHealth(writePool) },
      listeners: [...listeners].map((listener) => ({ ...listener })),
    }),
    close,
  }
}

/** One connection of the connecting user, for the keeper of the embedded server and for creating databases. */
export async function connectOwner({ url, applicationName }: ConnectOptions): Promise<pg.Client> {
  const { types: _ours, ...config } = connectionConfig({ url, applicationName }, READ_TIMEOUT_MS)
  const client = new pg.Client(config)
  client.on('error', ignoreLostConnection)
  try {
    await client.connect()
    return client
  } catch (error) {
    await client.end().catch(ignoreLostConnection)
    throw error
  }
}
