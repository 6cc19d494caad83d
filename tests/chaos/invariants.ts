/**
 * What must hold of a Weaver database whatever has happened to its processes: each as one SQL query that finds what
 * breaks it. Those of `ALWAYS` hold at any instant; those of `AT_REST` once the faults have stopped, all runs have ended
 * and the log is numbered.
 */
import type { Reader } from '../../db/database.ts'

export interface Invariant {
  is: string
  /** Gives a row for each thing that breaks it. */
  sql: string
  /** A relation without which it is left out. */
  needs?: string
}

export interface Violation {
  invariant: string
  /** How many things break it. */
  count: number
  examples: object[]
}

const EXAMPLES = 3

const LIVE_POOL = `exists (select from weaver.worker_pools p join pg_locks l
  on l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_database where datname = current_database())
    and (l.classid::bigint << 32) | l.objid::bigint = p.advisory_key
  where p.id = j.locked_by)`

/** What a symbol's bars of a run last closed at. */
const LAST_CLOSE = `(select c.close from weaver.candles c
  where c.symbol = held.symbol and c.timeframe = r.timeframe and c."timestamp" < r.end_time
  order by c."timestamp" desc limit 1)`

const SIGNED = `sum(case f.side when 'buy' then f.qty else -f.qty end)`

/** The first number that the log still has; nothing before it can be judged. */
const HORIZON = '(select coalesce(min(created_at), now()) from weaver.outbox)'

export const OF_THE_LOG: readonly Invariant[] = [
  {
    is: 'the log is numbered without a gap',
    sql: `select min(seq), max(seq), count(*) from weaver.outbox_seq having count(*) <> max(seq) - min(seq) + 1`,
  },
  {
    is: 'an event is in the log once',
    sql: 'select event_id, count(*) from weaver.outbox group by 1 having count(*) > 1',
  },
  {
    is: 'every number of the log stands for an event',
    sql: `select s.seq, s.outbox_id from weaver.outbox_seq s
      left join weaver.outbox o on o.created_at = s.created_at and o.id = s.outbox_id
      where o.id is null and s.created_at >= ${HORIZON}`,
  },
  {
    is: "a run's events are numbered in the order in which they were appended",
    sql: `select run_id, seq, outbox_id, before from (
        select run_id, seq, outbox_id, lag(outbox_id) over (partition by run_id order by seq) as before
        from weaver.outbox_seq where run_id is not null) listed
      where before > outbox_id`,
  },
]

export const ALWAYS: readonly Invariant[] = [
  ...OF_THE_LOG,
  {
    is: 'a running backtest has exactly one step to take',
    sql: `select r.id, r.driver, r.next_tick, count(j.id) as jobs
      from weaver.runs r left join weaver.job_overview j on j.run_id = r.id::text and j.state <> 'dead'
      where r.status = 'running' and r.mode = 'backtest' group by r.id
      having count(j.id) = 0 or (r.driver = 'chunk' and count(j.id) <> 1)`,
  },
  {
    is: "a run's orders are numbered without a gap",
    sql: `select run_id, count(*), max(ordinal) from weaver.orders group by run_id
      having count(*) <> max(ordinal) + 1 or count(*) <> count(distinct ordinal)`,
  },
  {
    is: "a run's fills are numbered without a gap",
    sql: `select run_id, count(*), max(ordinal) from weaver.fills group by run_id
      having count(*) <> max(ordinal) + 1 or count(*) <> count(distinct ordinal)`,
  },
  {
    is: 'a tick is decided at most once',
    sql: 'select run_id, bar_index, part, count(*) from weaver.decisions group by 1, 2, 3 having count(*) > 1',
  },
  {
    is: 'a client order id has one order',
    sql: 'select client_order_id, count(*) from weaver.orders group by 1 having count(*) > 1',
  },
  {
    is: 'an order is filled by what its fills amount to',
    sql: `select o.id, o.run_id, o.status, o.qty, o.filled_qty, coalesce(sum(f.qty), 0) as fills
      from weaver.orders o left join weaver.fills f on f.order_id = o.id group by o.id
      having o.filled_qty <> coalesce(sum(f.qty), 0) or (o.status = 'filled') <> (o.filled_qty = o.qty)`,
  },
  {
    is: 'every fill is of an order of its run',
    sql: `select f.id, f.run_id, f.order_id from weaver.fills f
      left join weaver.orders o on o.id = f.order_id and o.run_id = f.run_id where o.id is null`,
  },
  {
    is: 'the fills of a run and symbol amount to its position',
    sql: `select run_id, symbol, filled.qty as fills, p.qty as position from
        (select f.run_id, f.symbol, ${SIGNED} as qty from weaver.fills f group by 1, 2) filled
      full join weaver.positions p using (run_id, symbol)
      where coalesce(filled.qty, 0) <> coalesce(p.qty, 0)`,
  },
  {
    is: "a run's equity curve has a point for each tick played",
    sql: `select r.id, r.next_tick, coalesce(sum(e.points), 0) as points
      from weaver.runs r left join weaver.equity_blocks e on e.run_id = r.id where r.mode = 'backtest'
      group by r.id having coalesce(sum(e.points), 0) < r.next_tick`,
  },
  {
    // The ticks that a paper run misses have no point.
    is: 'the pieces of an equity curve follow one another',
    sql: `select run_id, mode, first_tick, follows from (
        select e.run_id, r.mode, e.first_tick,
          coalesce(lag(e.first_tick + e.points) over (partition by e.run_id order by e.first_tick), 0) as follows
        from weaver.equity_blocks e join weaver.runs r on r.id = e.run_id) pieces
      where first_tick < follows or (first_tick > follows and mode = 'backtest')`,
  },
  {
    is: 'the columns of candles hold every candle',
    sql: `select symbol, timeframe, counted.bars as rows, blocks.bars as blocks from
        (select symbol, timeframe, count(*) as bars from weaver.candles group by 1, 2) counted
      full join (select symbol, timeframe, sum(bars) as bars from weaver.candle_blocks group by 1, 2) blocks
        using (symbol, timeframe)
      where counted.bars is distinct from blocks.bars`,
  },
  {
    is: 'an order is accepted once at the most',
    sql: `select payload -> 'payload' ->> 'order_id' as order_id, count(*) from weaver.outbox
      where type = 'orders.Accepted' group by 1 having count(*) > 1`,
  },
  {
    is: 'a tick of a run comes once',
    sql: `select run_id, payload -> 'payload' ->> 'bar_index' as bar_index, count(*) from weaver.outbox
      where type = 'clock.Tick' group by 1, 2 having count(*) > 1`,
  },
  {
    is: 'what caused an event of a run came before it',
    sql: `select e.event_id, e.type, e.causation_id from weaver.outbox e
        left join weaver.outbox cause on cause.event_id = e.causation_id
      where e.type like 'run.%' and e.causation_id is not null and e.created_at > ${HORIZON}
        and (cause.id is null or cause.id >= e.id)`,
  },
  {
    is: "a run's status is what its events tell",
    sql: `select r.id, r.status, array_agg(o.type order by o.id) as events
      from weaver.runs r left join weaver.outbox o on o.run_id = r.id
        and o.type in ('run.Created', 'run.Started', 'run.Stopped', 'run.Completed', 'run.Error')
      where r.created_at >= ${HORIZON} group by r.id
      having array_agg(o.type order by o.id) <> case r.status
        when 'pending' then array['run.Created']
        when 'running' then array['run.Created', 'run.Started']
        when 'stopped' then array['run.Created', 'run.Started', 'run.Stopped']
        when 'completed' then array['run.Created', 'run.Started', 'run.Completed']
        else array['run.Created', 'run.Started', 'run.Error'] end`,
  },
  {
    is: 'a job that failed for good has a dead letter, and the other way round',
    sql: `select d.id, o.event_id from weaver.job_dead_letters d
      full join (select * from weaver.outbox where type = 'job.Failed') o
        on o.payload -> 'payload' ->> 'job_id' = d.id::text
      where d.id is null or o.event_id is null`,
  },
]

export const ALL_NUMBERED: Invariant = {
  is: 'every event has its number',
  sql: `select o.id, o.type, o.run_id from weaver.outbox o
    left join weaver.outbox_seq s on s.outbox_id = o.id where s.seq is null`,
}

export const AT_REST: readonly Invariant[] = [
  {
    is: 'no job is held by workers that are gone',
    sql: `select j.id, j.task, j.locked_by, j.locked_at from weaver.job_overview j
      where j.locked_by is not null and not ${LIVE_POOL}`,
  },
  { is: 'no run is under way', sql: `select id, next_tick, ticks_total from weaver.runs where status = 'running'` },
  {
    is: 'no job of a run is left',
    sql: `select j.id, j.task, j.state, j.run_id from weaver.job_overview j where j.run_id is not null and j.state <> 'dead'`,
  },
  ALL_NUMBERED,
  {
    is: 'every completed run was played to its last tick',
    sql: `select id, next_tick, ticks_total from weaver.runs where status = 'completed' and next_tick <> ticks_total`,
  },
  {
    is: 'what a run made of its cash is what its fills made of it',
    sql: `select r.id, b.final_equity, r.initial_cash + coalesce(sum(
          -held.qty_signed_notional - held.fees + held.qty * ${LAST_CLOSE}), 0) as from_fills
      from weaver.runs r join weaver.backtest_results b on b.run_id = r.id
        left join (select f.run_id, f.symbol, ${SIGNED} as qty, sum(f.fee) as fees,
            sum(case f.side when 'buy' then f.qty else -f.qty end * f.price) as qty_signed_notional
          from weaver.fills f group by 1, 2) held on held.run_id = r.id
      where r.status = 'completed' group by r.id, b.final_equity
      having b.final_equity <> r.initial_cash + coalesce(sum(
          -held.qty_signed_notional - held.fees + held.qty * ${LAST_CLOSE}), 0)`,
  },
  {
    is: 'a chain took every tick',
    sql: `select r.id, r.ticks_total, count(o.id) as ticks from weaver.runs r
        left join weaver.outbox o on o.run_id = r.id and o.type = 'clock.Tick'
      where r.status = 'completed' and r.driver = 'chain' and r.created_at >= ${HORIZON}
      group by r.id having count(o.id) <> r.ticks_total`,
  },
  {
    is: 'consumers are at the end of the log',
    needs: 'weaver.consumer_overview',
    sql: 'select consumer_id, last_offset, head, lag, state, last_error from weaver.consumer_overview where lag > 0',
  },
]

/** In a load without any fault of its own. */
export const NOTHING_FAILED: readonly Invariant[] = [
  { is: 'no job failed for good', sql: 'select id, task, run_id, error from weaver.job_dead_letters' },
  { is: 'no run ended in error', sql: `select id, strategy_id, error from weaver.runs where status = 'error'` },
]

export async function checkInvariants(reader: Reader, invariants: readonly Invariant[]): Promise<Violation[]> {
  const violations: Violation[] = []
  for (const { is, sql, needs } of invariants) {
    if (needs !== undefined && !(await exists(reader, needs))) continue
    const found = await reader.query<object>(sql)
    if (found.length > 0) violations.push({ invariant: is, count: found.length, examples: found.slice(0, EXAMPLES) })
  }
  return violations
}

async function exists(reader: Reader, relation: string): Promise<boolean> {
  const [row] = await reader.query<{ there: boolean }>('select to_regclass($1) is not null as there', [relation])
  return row?.there === true
}

/** Throws what is broken. */
export async function mustHold(reader: Reader, invariants: readonly Invariant[]): Promise<void> {
  const violations = await checkInvariants(reader, invariants)
  if (violations.length > 0) throw new Error(describeViolations(violations))
}

export function describeViolations(violations: readonly Violation[]): string {
  return violations
    .map(({ invariant, count, examples }) => `BROKEN: ${invariant} (${count}), such as ${JSON.stringify(examples)}`)
    .join('\n')
}
