/** How the log, the queue and the server are doing: each question one cheap statement. For metrics, readiness and doctor. */
import type { Database, Reader } from '../database.ts'

export interface LogHealth {
  /** The newest seq; -1: none. */
  head: number
  /** Committed events that have no seq yet, counted up to UNSEQUENCED_AT_MOST. */
  unsequenced: number
  oldestUnsequencedSeconds: number | null
}

const UNSEQUENCED_AT_MOST = 10_000

/** By the sequencer's own window, which is next to nothing when it keeps up. */
export async function logHealth(reader: Reader): Promise<LogHealth> {
  const [row] = await reader.query<{ head: number; unsequenced: number; seconds: number | null }>(
    `select s.next_seq - 1 as head, w.unsequenced, extract(epoch from clock_timestamp() - w.oldest)::float8 as seconds
     from weaver.sequencer s cross join lateral (
       select count(*) as unsequenced, min(waiting.created_at) as oldest from (
         select o.created_at from weaver.outbox o
         where o.txid >= pg_snapshot_xmin(s.snapshot) and not pg_visible_in_snapshot(o.txid, s.snapshot)
         order by o.txid limit ${UNSEQUENCED_AT_MOST}
       ) waiting
     ) w`,
  )
  return {
    head: Number(row?.head ?? -1),
    unsequenced: Number(row?.unsequenced ?? 0),
    oldestUnsequencedSeconds: row?.seconds ?? null,
  }
}

export interface ConsumerHealth {
  id: string
  lag: number
  /** Null: it never throttles. */
  lagLimit: number | null
  state: string
  failures: number
  lastError: string | null
  failingSeq: number | null
  /** Whose instance, if any, is at work. */
  active: boolean
}

export async function consumerHealth(reader: Reader): Promise<ConsumerHealth[]> {
  return reader.query<ConsumerHealth>(
    `select consumer_id as id, lag, lag_limit as "lagLimit", state, failures, last_error as "lastError",
       failing_seq as "failingSeq", active
     from weaver.consumer_overview order by consumer_id`,
  )
}

export interface JobCount {
  task: string
  state: string
  count: number
  oldestSeconds: number
}

export async function jobCounts(reader: Reader): Promise<JobCount[]> {
  return reader.query<JobCount>(
    `select task, state, count(*) as count, max(extract(epoch from age))::float8 as "oldestSeconds"
     from weaver.job_overview group by task, state order by task, state`,
  )
}

export interface JobAttempts {
  task: string
  outcome: string
  count: number
  /** 0.5, 0.95 and the longest; null where no attempt was ever started. */
  duration: [number, number, number] | null
  /** From due to started. */
  wait: [number, number, number] | null
}

/** Attempts that ended within the last minutes, on whatever machine. */
export async function recentAttempts(reader: Reader, minutes: number): Promise<JobAttempts[]> {
  const spread = (interval: string) =>
    `percentile_disc(array[0.5, 0.95, 1]) within group (order by extract(epoch from ${interval})::float8)`
  return reader.query<JobAttempts>(
    `select task, outcome, count(*) as count, ${spread('finished_at - started_at')} as duration,
       ${spread('greatest(started_at - due_at, interval $$0$$)')} as wait
     from weaver.job_runs where finished_at > now() - $1 * interval '1 minute' group by task, outcome order by task, outcome`,
    [minutes],
  )
}

export interface ServerHealth {
  /** 0 to 1; a full queue makes every commit that notifies fail. */
  notificationQueue: number
  connections: number
  mostConnections: number
  /** Of those, kept for superusers and others. */
  reserved: number
  /** What keeps old row versions from being cleaned away; nulls: nothing does, or its session is not ours to see. */
  oldest: { transactions: number | null; seconds: number | null; holder: string | null }
}

export async function serverHealth(reader: Reader): Promise<ServerHealth> {
  const [row] = await reader.query<Omit<ServerHealth, 'oldest'> & ServerHealth['oldest']>(
    `select pg_notification_queue_usage() as "notificationQueue",
       (select sum(numbackends)::integer from pg_stat_database) as connections,
       current_setting('max_connections')::integer as "mostConnections",
       current_setting('superuser_reserved_connections')::integer
         + coalesce(current_setting('reserved_connections', true), '0')::integer as reserved, o.transactions, o.seconds, o.holder
     from (select) nothing left join weaver.oldest_transaction() o on true`,
  )
  if (row === undefined) throw new Error('the server tells nothing of itself')
  const { transactions, seconds, holder, ...rest } = row
  return { ...rest, oldest: { transactions, seconds, holder } }
}

/** Epoch milliseconds. */
export async function serverTime(reader: Reader): Promise<number> {
  const [row] = await reader.query<{ now: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as now',
  )
  if (row === undefined) throw new Error('the server does not tell the time')
  return row.now
}

export interface TableHealth {
  table: string
  dead: number
  live: number
}

export interface TableSize {
  table: string
  bytes: number
  /** Estimated. */
  rows: number
}

/** The largest tables, with their indexes; partitions count as the table that they are of. */
export async function largestTables(reader: Reader, most: number): Promise<TableSize[]> {
  return reader.query<TableSize>(
    `select n.nspname || '.' || coalesce(whole.relname, c.relname) as table,
       sum(pg_total_relation_size(c.oid))::bigint as bytes, sum(greatest(c.reltuples, 0))::bigint as rows
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
       left join pg_inherits i on i.inhrelid = c.oid left join pg_class whole on whole.oid = i.inhparent
     where c.relkind = 'r' and n.nspname in ('weaver', 'graphile_worker')
     group by 1 order by 2 desc, 1 limit $1`,
    [most],
  )
}

/** How many parts the log lies in, each of which every look into it goes through. */
export async function logPartitions(reader: Reader): Promise<number> {
  const [row] = await reader.query<{ parts: number }>(
    `select count(*)::integer as parts from pg_inherits where inhparent = 'weaver.outbox'::regclass`,
  )
  return row?.parts ?? 0
}

/** Of the tables that are written all the time, which slow down when dead rows pile up. */
export async function busyTables(reader: Reader): Promise<TableHealth[]> {
  return reader.query<TableHealth>(
    `select schemaname || '.' || relname as table, n_dead_tup as dead, n_live_tup as live from pg_stat_all_tables
     where schemaname = 'graphile_worker' and relname in ('_private_jobs', '_private_job_queues')
       or schemaname = 'weaver' and relname in ('runs', 'orders', 'order_sends', 'accounts', 'rate_buckets', 'run_checkpoints', 'run_ledgers',
         'positions', 'clock_ticks', 'event_claims', 'consumer_offsets', 'sequencer', 'worker_pools')
     order by 1`,
  )
}

export async function databaseBytes(reader: Reader): Promise<number> {
  const [row] = await reader.query<{ bytes: number }>('select pg_database_size(current_database()) as bytes')
  return Number(row?.bytes ?? 0)
}

/** The newest migration that was applied. */
export async function migratedTo(reader: Reader): Promise<number> {
  const [row] = await reader.query<{ version: number }>('select max(version) as version from public.weaver_migrations')
  return Number(row?.version ?? 0)
}

export interface ProcessSample {
  host: string
  pid: number
  startedAt: string
  rssBytes: number
  cpuSeconds: number
  /** 99th percentile since the last sample. */
  eventLoopLagSeconds: number
  hostsOpen: number
  hostsBusy: number
  /** Since the process began. */
  hostsStarted: number
  hostsLost: number
}

/** Of a process that was killed nothing more comes: it is forgotten. */
const PROCESS_GONE = "interval '1 minute'"

export async function noteProcess(db: Database, sample: ProcessSample): Promise<void> {
  await db.write(async (tx) => {
    await tx.execute(`delete from weaver.process_samples where sampled_at < clock_timestamp() - ${PROCESS_GONE}`)
    await tx.execute(
      `insert into weaver.process_samples (host, pid, started_at, rss_bytes, cpu_seconds, event_loop_lag_seconds,
         hosts_open, hosts_busy, hosts_started, hosts_lost)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       on conflict (host, pid) do update set (started_at, rss_bytes, cpu_seconds, event_loop_lag_seconds, hosts_open,
         hosts_busy, hosts_started, hosts_lost, sampled_at) = (excluded.started_at, excluded.rss_bytes,
         excluded.cpu_seconds, excluded.event_loop_lag_seconds, excluded.hosts_open, excluded.hosts_busy,
         excluded.hosts_started, excluded.hosts_lost, clock_timestamp())`,
      [
        ...[sample.host, sample.pid, sample.startedAt, sample.rssBytes, sample.cpuSeconds, sample.eventLoopLagSeconds],
        ...[sample.hostsOpen, sample.hostsBusy, sample.hostsStarted, sample.hostsLost],
      ],
    )
  })
}

export async function forgetProcess(db: Database, { host, pid }: Pick<ProcessSample, 'host' | 'pid'>): Promise<void> {
  await db.write((tx) => tx.execute('delete from weaver.process_samples where host = $1 and pid = $2', [host, pid]))
}

export async function workerProcesses(reader: Reader): Promise<ProcessSample[]> {
  return reader.query<ProcessSample>(
    `select host, pid, started_at as "startedAt", rss_bytes as "rssBytes", cpu_seconds as "cpuSeconds",
       event_loop_lag_seconds as "eventLoopLagSeconds", hosts_open as "hostsOpen", hosts_busy as "hostsBusy",
       hosts_started as "hostsStarted", hosts_lost as "hostsLost"
     from weaver.process_samples where sampled_at > clock_timestamp() - ${PROCESS_GONE} order by host, pid`,
  )
}
