/** Can Weaver work? Each thing that it stands on, what was found, and what to do about it. */
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import type { Database, DatabaseHealth, Reader } from '../../db/database.ts'
import {
  type ConsumerHealth,
  consumerHealth,
  type LogHealth,
  logHealth,
  migratedTo,
  type ServerHealth,
  serverHealth,
  serverTime,
} from '../../db/events/health.ts'
import { livePools } from '../../db/events/leases.ts'
import type { HeartbeatRow } from '../../db/walle/notice_rows.ts'
import { type AccountHealth, accountHealth, type ClockHealth, venueClocks } from '../../db/walle/queries/accounts.ts'
import { type ChannelHealth, channelHealth, getHeartbeat } from '../../db/walle/queries/notifications.ts'
import { BELIEVED_MINUTES } from '../veda/venues/clock.ts'
import { MOST_SKEW_MS, skewOf } from '../veda/venues/clock_skew.ts'
import { progressOf, standstills } from './progress.ts'

export interface Check {
  /** degraded: Weaver works, and somebody should look; failing: it does not. */
  state: 'ok' | 'degraded' | 'failing'
  message: string
}

export type Checks = Record<string, Check>

export const LIMITS = {
  /** Events that are without a place for longer: nobody numbers them. */
  unsequencedSeconds: 10,
  /** A listener that has not heard itself for longer. It does so every 10 seconds. */
  silentMs: 30_000,
  /** Keepers compare accounts once a minute. */
  unreconciledSeconds: 300,
  /** A message that could not be sent is tried again: after so long somebody should look. */
  unsentSeconds: 300,
  /** Beats are a minute apart. */
  heartbeatSeconds: 150,
  oldestTransactions: 5_000_000,
  oldestTransactionSeconds: 3_600,
  /** Part of those that the server takes. */
  connections: 0.9,
  notificationQueue: { degraded: 0.25, failing: 0.9 },
  freeBytes: { degraded: 1_000_000_000, failing: 200_000_000 },
} as const

const ok = (message: string): Check => ({ state: 'ok', message })
const degraded = (message: string): Check => ({ state: 'degraded', message })
const failing = (message: string): Check => ({ state: 'failing', message })

export function judgeMigrations(applied: number, known: number): Check {
  if (applied === known) return ok(`at ${applied}, as this Weaver knows them`)
  return applied < known
    ? failing(`the database is at ${applied}, this Weaver needs ${known}: was it restored? Run \`weaver migrate\``)
    : degraded(`the database is at ${applied}, this Weaver knows ${known}: restart with the newer Weaver`)
}

export function judgeWorkers(pools: number): Check {
  return pools > 0 ? ok(`${pools} pools`) : failing('none: start some with `weaver worker`, or `weaver start`')
}

export function judgeSequencer({ head, unsequenced, oldestUnsequencedSeconds }: LogHealth): Check {
  const late = oldestUnsequencedSeconds ?? 0
  if (late <= LIMITS.unsequencedSeconds) return ok(`the log is at ${head}`)
  return failing(
    `${unsequenced} events have waited up to ${Math.round(late)} s for their place in the log: ` +
      'workers number them, so start some, or look into their log',
  )
}

export function judgeConsumers(consumers: readonly ConsumerHealth[]): Check {
  const problems = consumers.flatMap((consumer) => problemOf(consumer) ?? [])
  if (problems.length > 0) return degraded(problems.join('; '))
  return ok(
    consumers.length === 0 ? 'there are none' : consumers.map(({ id, lag }) => `${id} ${lag} behind`).join(', '),
  )
}

function problemOf({ id, state, lag, lagLimit, failures, failingSeq, lastError }: ConsumerHealth): string | null {
  if (state === 'ok') return null
  if (state === 'failing') {
    const where = failingSeq === null ? '' : ` at event ${failingSeq}`
    return `${id} fails${where}, ${failures} times in a row (${lastError}): correct the cause; it tries again by itself`
  }
  if (state === 'lagging') {
    return `${id} is ${lag} events behind, more than ${lagLimit}: backtests and imports wait until it has caught up`
  }
  if (state === 'ahead') return `${id} is ahead of the log: the database was restored`
  return lag === 0 ? null : `no process runs ${id}, which is ${lag} events behind: start workers`
}

/** Only of accounts that running runs use: the others hold nobody up. */
export function judgeAccounts(accounts: readonly AccountHealth[]): Check {
  const used = accounts.filter(({ runs }) => runs > 0)
  const problems = used.flatMap(({ exchange, mode, state, state_reason, runs, reconciledSeconds, pausedSymbols }) => {
    const named = `${exchange} ${mode}, which ${runs} ${runs === 1 ? 'run uses' : 'runs use'},`
    if (state !== 'ready') {
      return [
        `${named} is ${state} (${state_reason}): no order leaves. Look at its credentials, the venue and the workers`,
      ]
    }
    if ((reconciledSeconds ?? 0) > LIMITS.unreconciledSeconds) {
      return [`${named} was not compared with its venue for ${Math.round(reconciledSeconds ?? 0)} s: start workers`]
    }
    if (pausedSymbols.length === 0) return []
    return [`${named} holds what no order explains: ${pausedSymbols.join(', ')}, see \`weaver accounts\``]
  })
  if (problems.length > 0) return degraded(problems.join('; '))
  return ok(
    used.length === 0
      ? 'no running run uses one'
      : `${used.map(({ exchange, mode }) => `${exchange} ${mode}`).join(', ')} ready`,
  )
}

/** Of paper and live runs. */
export function judgeRuns(standstills: readonly string[]): Check {
  if (standstills.length === 0) return ok('ticks and jobs of paper and live runs get on')
  return degraded(
    `${standstills.join('; ')}. See \`weaver jobs\`: resume what is paused, start workers, or stop the run`,
  )
}

export function judgeMessages(channels: readonly ChannelHealth[]): Check {
  const problems = channels.flatMap(({ channel, failingSeconds, lastError, counts }) =>
    (failingSeconds ?? 0) > LIMITS.unsentSeconds
      ? [
          `${counts.to_send} messages wait for up to ${Math.round(failingSeconds ?? 0)} s (${lastError ?? channel}): try \`weaver notify test\``,
        ]
      : [],
  )
  if (problems.length > 0) return degraded(problems.join('; '))
  return ok(
    channels.length === 0
      ? 'none was told yet'
      : channels.map(({ channel, counts }) => `${channel} ${counts.sent} sent`).join(', '),
  )
}

export function judgeHeartbeat(row: HeartbeatRow | null, isSet: boolean, now: number): Check {
  if (!isSet) return ok('WEAVER_HEARTBEAT_URL is not set')
  if (row === null) return degraded('WEAVER_HEARTBEAT_URL was never called: start workers')
  const age = row.beat_at === null ? null : Math.round((now - Date.parse(row.beat_at)) / 1000)
  if (age !== null && age <= LIMITS.heartbeatSeconds) return ok(`heard ${age} s ago`)
  const since = age === null ? 'was never heard' : `was last heard ${age} s ago`
  return degraded(`${since}: ${row.problem ?? 'no worker calls it, start some'}`)
}

export function judgeListeners(listeners: DatabaseHealth['listeners'], now: number): Check {
  const deaf = listeners.filter(({ connected, heardAt }) => !connected || (heardAt ?? now) < now - LIMITS.silentMs)
  if (deaf.length > 0) {
    const names = [...new Set(deaf.map(({ channel }) => channel))].join(', ')
    return degraded(
      `the listener of ${names} does not hear itself: Weaver polls meanwhile and connects anew. ` +
        'If it stays, LISTEN does not work through what lies between (PgBouncer: session mode only)',
    )
  }
  return ok(listeners.length === 0 ? 'nothing in this process listens now' : `${listeners.length} hear themselves`)
}

/** `skewMs`: how far ours is ahead of the database's at least. */
/** Of whoever keeps the accounts, and makes the ticks. */
export function judgeVenueClocks(clocks: readonly ClockHealth[]): Check {
  const wrong = clocks.filter(({ skew_ms }) => Math.abs(skew_ms) > MOST_SKEW_MS)
  if (wrong.length === 0) return ok(`${clocks.length} were asked and agree`)
  const texts = wrong.map(({ exchange, mode, skew_ms }) => {
    const far = `${(Math.abs(skew_ms) / 1000).toFixed(1)} s`
    return skew_ms > 0
      ? `${far} ahead of ${exchange} ${mode}, so that ticks decide without their bars`
      : `${far} behind ${exchange} ${mode}, so that ticks come late`
  })
  return degraded(`the clock of the workers is ${texts.join(' and ')}: set up time synchronisation on their machines`)
}

export function judgeClock(skewMs: number): Check {
  const far = `${(Math.abs(skewMs) / 1000).toFixed(1)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the database's`
  if (Math.abs(skewMs) <= MOST_SKEW_MS) return ok(`it agrees with the database's`)
  return degraded(`this machine's clock is ${far}: set up time synchronisation on both machines`)
}

export function judgeTransactions({ transactions, seconds, holder }: ServerHealth['oldest']): Check {
  const tooOld = (transactions ?? 0) > LIMITS.oldestTransactions || (seconds ?? 0) > LIMITS.oldestTransactionSeconds
  const age = `${transactions ?? 0} transactions${seconds === null ? '' : `, ${Math.round(seconds)} s`}`
  if (!tooOld) return ok(holder === null ? 'none is open' : `the oldest: ${age}`)
  return degraded(`${holder} has been open for ${age}: end it, or the queue's tables grow and slow down`)
}

export function judgeNotifications(usage: number): Check {
  const text = `the server's notification queue is ${(usage * 100).toFixed(0)} % full`
  const cure = 'find the session that listens in an open transaction (pg_stat_activity) and end it'
  if (usage >= LIMITS.notificationQueue.failing) return failing(`${text}; when it is full nothing can commit: ${cure}`)
  if (usage >= LIMITS.notificationQueue.degraded) return degraded(`${text}: ${cure}`)
  return ok(text)
}

/** Of all users of the server, whatever they are. */
export function judgeConnections({
  connections,
  mostConnections,
  reserved,
}: Pick<ServerHealth, 'connections' | 'mostConnections' | 'reserved'>): Check {
  const room = mostConnections - reserved
  const text = `${connections} of the ${room} that the server takes`
  if (connections <= room * LIMITS.connections) return ok(text)
  return degraded(
    `${text}: raise its max_connections, \`weaver doctor\` says to how many, or find who holds them (pg_stat_activity)`,
  )
}

export function judgeDisk(freeBytes: number, dataDir: string): Check {
  const text = `${(freeBytes / 1e9).toFixed(1)} GB free where ${dataDir} lies`
  if (freeBytes < LIMITS.freeBytes.failing) return failing(`${text}: make room, Postgres stops when it is full`)
  if (freeBytes < LIMITS.freeBytes.degraded) return degraded(`${text}: make room soon`)
  return ok(text)
}

export async function freeBytes(dataDir: string): Promise<number> {
  const { bavail, bsize } = await statfs(existsSync(dataDir) ? dataDir : '.')
  return bavail * bsize
}

export interface ReadinessOptions {
  db: Database
  dataDir: string
  /** Whether WEAVER_HEARTBEAT_URL is set. */
  beats: boolean
  strategyTimeoutMs: number
  schemaVersion: number
  now: () => number
  sleep: (ms: number) => Promise<void>
}

/** A server that answers nothing in this time does not answer. */
const ANSWER_MS = 3_000
const STATEMENT_TIMEOUT_MS = 2_000

export async function checkReadiness({
  db,
  dataDir,
  beats,
  strategyTimeoutMs,
  schemaVersion,
  now,
  sleep,
}: ReadinessOptions): Promise<Checks> {
  const late = sleep(ANSWER_MS).then(() => failing(`no answer in ${ANSWER_MS / 1000} s`))
  const ask = async (question: (reader: Reader) => Promise<Check>): Promise<Check> => {
    const answer = db.read(async (reader) => {
      await reader.query(`set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`)
      return question(reader)
    })
    const known = answer.catch((error: unknown) =>
      failing(`cannot be looked at: ${error instanceof Error ? error.message : String(error)}`),
    )
    return Promise.race([known, late])
  }
  const here = {
    listeners: judgeListeners(db.health().listeners, now()),
    disk: await freeBytes(dataDir).then(
      (bytes) => judgeDisk(bytes, dataDir),
      (error: unknown) => degraded(`the disk of ${dataDir} cannot be looked at: ${String(error)}`),
    ),
  }
  const database = await ask(async (reader) => {
    await reader.query('select 1')
    return ok('answers')
  })
  if (database.state !== 'ok') {
    return { database: failing(`does not answer: is Postgres running? (${database.message})`), ...here }
  }
  const checks = {
    migrations: ask(async (reader) => judgeMigrations(await migratedTo(reader), schemaVersion)),
    workers: ask(async () => judgeWorkers(await livePools(db))),
    sequencer: ask(async (reader) => judgeSequencer(await logHealth(reader))),
    consumers: ask(async (reader) => judgeConsumers(await consumerHealth(reader))),
    runs: ask(async (reader) => judgeRuns(standstills(await progressOf(reader), strategyTimeoutMs, now()))),
    accounts: ask(async (reader) => judgeAccounts(await accountHealth(reader))),
    messages: ask(async (reader) => judgeMessages(await channelHealth(reader))),
    heartbeat: ask(async (reader) => judgeHeartbeat(await getHeartbeat(reader), beats, now())),
    venue_clocks: ask(async (reader) => judgeVenueClocks(await venueClocks(reader, BELIEVED_MINUTES))),
    clock: ask(async (reader) => {
      const asked = now()
      const theirs = await serverTime(reader)
      return judgeClock(skewOf(asked, theirs, now()))
    }),
    transactions: ask(async (reader) => judgeTransactions((await serverHealth(reader)).oldest)),
    connections: ask(async (reader) => judgeConnections(await serverHealth(reader))),
    notifications: ask(async (reader) => judgeNotifications((await serverHealth(reader)).notificationQueue)),
  }
  const found = await Promise.all(Object.entries(checks).map(async ([name, check]) => [name, await check] as const))
  return { database, ...Object.fromEntries(found), ...here }
}
