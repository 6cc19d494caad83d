/**
 * What Prometheus is told. Most of it comes from Postgres, so that any API process shows the whole system, whatever runs on
 * other machines; the rest is of this process and says so in its name. Each part has its own pace and fails alone.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Database, Reader } from '../../db/database.ts'
import {
  busyTables,
  consumerHealth,
  databaseBytes,
  jobCounts,
  largestTables,
  logHealth,
  logPartitions,
  recentAttempts,
  serverHealth,
  workerProcesses,
} from '../../db/events/health.ts'
import { accountHealth, recentUpdates } from '../../db/walle/queries/accounts.ts'
import { activeHalts } from '../../db/walle/queries/halts.ts'
import { recentSends, unsettledSends } from '../../db/walle/queries/live_orders.ts'
import { recentTicks } from '../../db/walle/queries/live_runs.ts'
import { marketHealth, recentWindows } from '../../db/walle/queries/market.ts'
import { channelHealth, getHeartbeat } from '../../db/walle/queries/notifications.ts'
import { countRuns } from '../../db/walle/queries/runs.ts'
import type { HostPool } from '../marvin/host_pool.ts'
import { type Answer, counter, type Family, gauge, QUANTILES, RECENT_MINUTES, type Sample } from './metric_family.ts'
import { channelFamilies, heartbeatFamilies } from './metrics_outside.ts'
import {
  accountFamilies,
  haltFamilies,
  marketFamilies,
  orderFamilies,
  updateFamilies,
  windowFamilies,
} from './metrics_trading.ts'

export interface MetricsOptions {
  db: Pick<Database, 'read' | 'health'>
  hosts: Pick<HostPool, 'counts'>
  version: string
  now: () => number
}

interface Part {
  name: string
  /** What a scrape shows is at most this old, however many ask. */
  everyMs: number
  read: () => Promise<Family[]> | Family[]
}

/** For each question; a scrape asks them one after the other. */
const STATEMENT_TIMEOUT_MS = 2_000
const QUICK_MS = 1_000
/** Questions that read more than a few rows. */
const SLOW_MS = 10_000
/** Sizes are looked up file by file. */
const SIZE_MS = 60_000
const MOST_TABLES = 20
/** Most runs have a tick an hour or more. */
const TICK_MINUTES = 60

/** The text of all parts. Never fails: what cannot be read is missing, and `weaver_metrics_part_ok` names it. */
export function createMetrics(options: MetricsOptions): () => Promise<string> {
  const processRegistry = new Registry()
  collectDefaultMetrics({ register: processRegistry })
  const parts = partsOf(options).map((part) => cached(part, options.now))
  return async () => {
    const texts: string[] = []
    const states: Sample[] = []
    for (const { name, text } of parts) {
      const got = await text()
      texts.push(got ?? '')
      states.push({ labels: { part: name }, value: got === null ? 0 : 1 })
    }
    const ok = gauge('weaver_metrics_part_ok', '1: this part of the metrics was read; 0: it is missing', states)
    return [...texts, await render([ok]), await processRegistry.metrics()].filter((text) => text !== '').join('\n')
  }
}

function cached(
  { name, everyMs, read }: Part,
  now: () => number,
): { name: string; text: () => Promise<string | null> } {
  let readAt = Number.NEGATIVE_INFINITY
  let latest: Promise<string | null> = Promise.resolve(null)
  return {
    name,
    text() {
      if (now() - readAt >= everyMs) {
        readAt = now()
        latest = (async () => render(await read()))().catch(() => null)
      }
      return latest
    },
  }
}

/** A registry of its own each time: labels that are gone leave nothing behind, and no family shows a zero nobody counted. */
async function render(families: readonly Family[]): Promise<string> {
  const registry = new Registry()
  for (const { name, help, type, samples } of families) {
    if (samples.length === 0) continue
    const shape = { name, help, labelNames: Object.keys(samples[0]?.labels ?? {}), registers: [registry] }
    if (type === 'gauge') {
      const metric = new Gauge(shape)
      for (const { labels, value } of samples) metric.set(labels ?? {}, value)
    } else {
      const metric = new Counter(shape)
      for (const { labels, value } of samples) metric.inc(labels ?? {}, value)
    }
  }
  return registry.metrics()
}

function partsOf({ db, hosts, version, now }: MetricsOptions): Part[] {
  const asked = <T>(question: (reader: Reader) => Promise<T>): Promise<T> =>
    db.read(async (reader) => {
      await reader.query(`set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`)
      return question(reader)
    })
  return [
    { name: 'log', everyMs: QUICK_MS, read: async () => logFamilies(await asked(logHealth)) },
    { name: 'consumers', everyMs: QUICK_MS, read: async () => consumerFamilies(await asked(consumerHealth)) },
    { name: 'jobs', everyMs: QUICK_MS, read: async () => jobFamilies(await asked(jobCounts)) },
    {
      name: 'attempts',
      everyMs: SLOW_MS,
      read: async () => attemptFamilies(await asked((reader) => recentAttempts(reader, RECENT_MINUTES))),
    },
    { name: 'server', everyMs: QUICK_MS, read: async () => serverFamilies(await asked(serverHealth)) },
    { name: 'tables', everyMs: SLOW_MS, read: async () => tableFamilies(await asked(busyTables)) },
    {
      name: 'size',
      everyMs: SIZE_MS,
      read: () =>
        asked(async (reader) => [
          gauge('weaver_database_bytes', 'Size of the database', await databaseBytes(reader)),
          ...sizeFamilies(await largestTables(reader, MOST_TABLES), await logPartitions(reader)),
        ]),
    },
    {
      name: 'clock',
      everyMs: SLOW_MS,
      read: async () => clockFamilies(await asked((reader) => recentTicks(reader, TICK_MINUTES))),
    },
    { name: 'runs', everyMs: SLOW_MS, read: async () => runFamilies(await asked(countRuns)) },
    {
      name: 'accounts',
      everyMs: QUICK_MS,
      read: () =>
        asked(async (reader) => [
          ...accountFamilies(await accountHealth(reader)),
          ...updateFamilies(await recentUpdates(reader, RECENT_MINUTES)),
          ...haltFamilies(await activeHalts(reader)),
        ]),
    },
    {
      name: 'orders',
      everyMs: SLOW_MS,
      read: () =>
        asked(async (reader) => orderFamilies(await unsettledSends(reader), await recentSends(reader, RECENT_MINUTES))),
    },
    {
      name: 'windows',
      everyMs: SLOW_MS,
      read: () =>
        asked(async (reader) => [
          ...windowFamilies(await recentWindows(reader, RECENT_MINUTES)),
          ...marketFamilies(await marketHealth(reader)),
        ]),
    },
    {
      name: 'outside',
      everyMs: SLOW_MS,
      read: () =>
        asked(async (reader) => [
          ...channelFamilies(await channelHealth(reader)),
          ...heartbeatFamilies(await getHeartbeat(reader), now()),
        ]),
    },
    { name: 'workers', everyMs: QUICK_MS, read: async () => workerFamilies(await asked(workerProcesses)) },
    { name: 'process', everyMs: 0, read: () => processFamilies(db.health(), hosts.counts(), version, now()) },
  ]
}

function logFamilies({ head, unsequenced, oldestUnsequencedSeconds }: Answer<typeof logHealth>): Family[] {
  return [
    gauge('weaver_log_head_seq', 'Seq of the newest event; -1: none', head),
    counter('weaver_events_sequenced_total', 'Events that have their place in the log', head + 1),
    counter('weaver_events_appended_total', 'Events committed, with or without their place', head + 1 + unsequenced),
    gauge('weaver_events_unsequenced', 'Committed events without a place yet (counted up to 10000)', unsequenced),
    gauge(
      'weaver_events_unsequenced_oldest_seconds',
      'Age of the oldest event that has no place yet; 0: all have one',
      oldestUnsequencedSeconds ?? 0,
    ),
  ]
}

function consumerFamilies(consumers: Answer<typeof consumerHealth>): Family[] {
  const each = (value: (consumer: (typeof consumers)[number]) => number | null) =>
    consumers.flatMap((one) => {
      const found = value(one)
      return found === null ? [] : [{ labels: { consumer: one.id }, value: found }]
    })
  return [
    gauge(
      'weaver_consumer_lag',
      'Events between the consumer and the head',
      each(({ lag }) => lag),
    ),
    gauge(
      'weaver_consumer_lag_limit',
      'Beyond this lag backtests and imports are held back',
      each(({ lagLimit }) => lagLimit),
    ),
    gauge(
      'weaver_consumer_active',
      '1: a process runs the consumer',
      each(({ active }) => Number(active)),
    ),
    gauge(
      'weaver_consumer_failures',
      'Failures in a row',
      each(({ failures }) => failures),
    ),
    gauge(
      'weaver_consumer_state',
      'The state that the consumer is in',
      consumers.map(({ id, state }) => ({ labels: { consumer: id, state }, value: 1 })),
    ),
  ]
}

function jobFamilies(counts: Answer<typeof jobCounts>): Family[] {
  const labels = ({ task, state }: (typeof counts)[number]) => ({ task, state })
  return [
    gauge(
      'weaver_jobs',
      'Jobs by task and state; running: in flight, dead: dead letters',
      counts.map((one) => ({ labels: labels(one), value: one.count })),
    ),
    gauge(
      'weaver_jobs_oldest_seconds',
      'Age of the oldest job of a task and state',
      counts.map((one) => ({ labels: labels(one), value: one.oldestSeconds })),
    ),
  ]
}

const TICK_QUANTILES = ['0.5', '0.99', '1']

function attemptFamilies(attempts: Answer<typeof recentAttempts>): Family[] {
  const spread = (values: (one: (typeof attempts)[number]) => readonly (number | null)[] | null) =>
    attempts.flatMap((one) =>
      (values(one) ?? []).flatMap((value, index) => {
        const labels = { task: one.task, outcome: one.outcome, quantile: QUANTILES[index] as string }
        return value === null ? [] : [{ labels, value }]
      }),
    )
  return [
    gauge(
      'weaver_job_attempts_recent',
      `Attempts at jobs that ended in the last ${RECENT_MINUTES} minutes`,
      attempts.map(({ task, outcome, count }) => ({ labels: { task, outcome }, value: count })),
    ),
    gauge(
      'weaver_job_duration_recent_seconds',
      `How long they took: median, 95th percentile, longest of the last ${RECENT_MINUTES} minutes`,
      spread(({ duration }) => duration),
    ),
    gauge(
      'weaver_job_wait_recent_seconds',
      `From due to started: median, 95th percentile, longest of the last ${RECENT_MINUTES} minutes`,
      spread(({ wait }) => wait),
    ),
  ]
}

function serverFamilies(server: Answer<typeof serverHealth>): Family[] {
  const { notificationQueue, connections, mostConnections, oldest } = server
  return [
    gauge('weaver_postgres_notification_queue_ratio', 'How full the queue of NOTIFY is, 0 to 1', notificationQueue),
    gauge('weaver_postgres_connections', 'Connections to the server, of all its users', connections),
    gauge('weaver_postgres_connections_most', 'Connections that the server takes', mostConnections),
    gauge(
      'weaver_postgres_xmin_age_transactions',
      'Transactions since the oldest one that keeps old rows from being cleaned away; 0: none does',
      oldest.transactions ?? 0,
    ),
    gauge('weaver_postgres_xmin_age_seconds', 'Its age; missing when there is none or it is hidden', oldest.seconds),
  ]
}

function tableFamilies(tables: Answer<typeof busyTables>): Family[] {
  const each = (value: (table: (typeof tables)[number]) => number) =>
    tables.map((one) => ({ labels: { table: one.table }, value: value(one) }))
  return [
    gauge(
      'weaver_postgres_dead_rows',
      'Old row versions that wait for vacuum',
      each(({ dead }) => dead),
    ),
    gauge(
      'weaver_postgres_live_rows',
      'Rows, estimated',
      each(({ live }) => live),
    ),
  ]
}

function sizeFamilies(tables: Answer<typeof largestTables>, partitions: number): Family[] {
  const each = (value: (table: (typeof tables)[number]) => number) =>
    tables.map((one) => ({ labels: { table: one.table }, value: value(one) }))
  return [
    gauge(
      'weaver_table_bytes',
      `Size of the ${MOST_TABLES} largest tables, with indexes and partitions`,
      each(({ bytes }) => Number(bytes)),
    ),
    gauge(
      'weaver_table_rows',
      'Their rows, estimated',
      each(({ rows }) => Number(rows)),
    ),
    gauge(
      'weaver_log_partitions',
      'Parts that the log lies in: days, and of what is kept for audit months',
      partitions,
    ),
  ]
}

function clockFamilies({ emitted, missed, drift }: Answer<typeof recentTicks>): Family[] {
  const outcomes = [{ reason: 'emitted', count: emitted }, ...missed]
  return [
    gauge(
      'weaver_ticks_recent',
      `Boundaries of paper and live runs in the last ${TICK_MINUTES} minutes: emitted, or why they were missed`,
      outcomes.map(({ reason, count }) => ({ labels: { outcome: reason }, value: count })),
    ),
    gauge(
      'weaver_tick_drift_recent_seconds',
      `From the boundary to the emission of a tick: median, 99th percentile, most of the last ${TICK_MINUTES} minutes`,
      drift.flatMap((value, index) =>
        value === null ? [] : [{ labels: { quantile: TICK_QUANTILES[index] as string }, value: value / 1000 }],
      ),
    ),
  ]
}

function runFamilies(counts: Answer<typeof countRuns>): Family[] {
  const samples = counts.map(({ mode, status, count }) => ({ labels: { mode, status }, value: count }))
  return [gauge('weaver_runs', 'Runs by mode and status', samples)]
}

function workerFamilies(processes: Answer<typeof workerProcesses>): Family[] {
  const each = (value: (one: (typeof processes)[number]) => number) =>
    processes.map((one) => ({ labels: { host: one.host, pid: String(one.pid) }, value: value(one) }))
  const hosts = processes.flatMap(({ host, pid, hostsOpen, hostsBusy }) =>
    Object.entries({ busy: hostsBusy, idle: hostsOpen - hostsBusy }).map(([state, value]) => ({
      labels: { host, pid: String(pid), state },
      value,
    })),
  )
  return [
    gauge(
      'weaver_worker_resident_bytes',
      'Memory of a worker process',
      each(({ rssBytes }) => rssBytes),
    ),
    counter(
      'weaver_worker_cpu_seconds_total',
      'Its processor time',
      each(({ cpuSeconds }) => cpuSeconds),
    ),
    gauge(
      'weaver_worker_event_loop_lag_seconds',
      '99th percentile of how late its event loop was in the last seconds',
      each(({ eventLoopLagSeconds }) => eventLoopLagSeconds),
    ),
    gauge('weaver_worker_strategy_hosts', 'Its strategy processes by state', hosts),
    counter(
      'weaver_worker_strategy_hosts_started_total',
      'Strategy processes that it started',
      each(({ hostsStarted }) => hostsStarted),
    ),
    counter(
      'weaver_worker_strategy_hosts_lost_total',
      'Of those, ended before their worker did: each is replaced',
      each(({ hostsLost }) => hostsLost),
    ),
  ]
}

function processFamilies(
  { pools, listeners }: ReturnType<Database['health']>,
  hosts: ReturnType<HostPool['counts']>,
  version: string,
  now: number,
): Family[] {
  const connections = Object.entries(pools).flatMap(([pool, { open, idle, waiting, most }]) =>
    Object.entries({ busy: open - idle, idle, waiting, most }).map(([state, value]) => ({
      labels: { pool, state },
      value,
    })),
  )
  const each = (value: (listener: (typeof listeners)[number]) => number | null) =>
    listeners.flatMap((one) => {
      const found = value(one)
      return found === null ? [] : [{ labels: { channel: one.channel }, value: found }]
    })
  const hostStates = { busy: hosts.busy, idle: hosts.open - hosts.busy, waiting: hosts.waiting }
  return [
    gauge('weaver_process_info', 'The Weaver that answers', [{ labels: { version }, value: 1 }]),
    gauge('weaver_process_pool_connections', 'Database connections of this process; waiting: callers', connections),
    gauge(
      'weaver_process_listener_connected',
      '1: it listens',
      each(({ connected }) => Number(connected)),
    ),
    gauge(
      'weaver_process_listener_ping_seconds',
      'How long its last notification to itself took',
      each(({ roundTripMs }) => (roundTripMs === null ? null : roundTripMs / 1000)),
    ),
    gauge(
      'weaver_process_listener_silent_seconds',
      'Since it last heard itself',
      each(({ heardAt }) => (heardAt === null ? null : (now - heardAt) / 1000)),
    ),
    counter(
      'weaver_process_listener_reconnects_total',
      'How often it connected anew',
      each((one) => one.reconnects),
    ),
    gauge(
      'weaver_process_strategy_hosts',
      'Strategy processes by state; waiting: requests for one',
      Object.entries(hostStates).map(([state, value]) => ({ labels: { state }, value })),
    ),
    counter('weaver_process_strategy_hosts_started_total', 'Strategy processes that were started', hosts.started),
    counter(
      'weaver_process_strategy_hosts_lost_total',
      'Of those, ended before Weaver did: each is replaced',
      hosts.lost,
    ),
  ]
}
