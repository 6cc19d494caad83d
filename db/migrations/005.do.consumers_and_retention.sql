-- Consumers that show what they are at, a log that grows old, and a log that was restored into another cluster.

alter table weaver.consumer_offsets
  add column lag_limit bigint,
  add column holder text,
  add column failing_since timestamptz,
  add column failing_seq bigint,
  add column failures integer not null default 0,
  add column last_error text,
  add column next_try_at timestamptz;
comment on column weaver.consumer_offsets.lag_limit is
  'Further behind than this, the consumer throttles backtests and imports; null: it never does.';
comment on column weaver.consumer_offsets.holder is 'The process that took the consumer on last.';
comment on column weaver.consumer_offsets.failing_seq is 'The event that the consumer cannot get past; null when it is not the event.';

create table weaver.consumer_skips (
  id bigint generated always as identity primary key,
  consumer_id text not null,
  seq bigint not null,
  event_id uuid,
  type text,
  error text not null,
  reason text not null,
  skipped_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.consumer_skips is 'Events that a person had a consumer leave out, by whom and why.';
grant insert on weaver.consumer_skips to weaver_walle;
grant delete on weaver.consumer_offsets to weaver_walle;

-- Whose session holds it is the one active instance.
create function weaver.consumer_key(consumer text) returns bigint language sql immutable as $$
  select hashtextextended('weaver:consumer:' || consumer, 0);
$$;

create view weaver.consumer_overview as
  select c.consumer_id, c.last_offset, h.head, h.head - c.last_offset as lag, c.lag_limit,
    case
      when c.failing_since is not null then 'failing'
      when c.last_offset > h.head then 'ahead'
      when not a.active then 'stopped'
      when h.head - c.last_offset > c.lag_limit then 'lagging'
      else 'ok'
    end as state,
    c.failing_since, c.failures, c.last_error, c.updated_at, c.failing_seq, c.next_try_at, c.holder, a.active
  from weaver.consumer_offsets c
    cross join lateral (select coalesce(max(s.seq), -1) as head from weaver.outbox_seq s) h
    cross join lateral (
      select exists (
        select from pg_locks l
        where l.locktype = 'advisory' and l.granted and l.objsubid = 1
          and l.database = (select d.oid from pg_database d where d.datname = current_database())
          and (l.classid::bigint << 32) | l.objid::bigint = weaver.consumer_key(c.consumer_id)
      ) as active
    ) a;
comment on view weaver.consumer_overview is
  'Every consumer of the log: how far it is, and whether it works. state: ok, lagging (throttles), failing, ahead (of the log: it was restored), stopped (no process runs it).';

-- Retention.

create table weaver.outbox_horizon (
  id boolean primary key default true check (id),
  seq bigint not null default 0,
  audit_seq bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.outbox_horizon is
  'One row. From seq on the log is whole; from audit_seq on so is what is kept for audit. A gap before is retention''s, one after is a bug.';
insert into weaver.outbox_horizon default values;

create table weaver.outbox_days (
  day date primary key,
  kept bigint not null,
  dropped bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.outbox_days is 'UTC days of the log that retention has been over: what it kept for audit, and what it dropped.';
create trigger touch_updated_at before update on weaver.outbox_days
  for each row execute function weaver.touch_updated_at();

create index event_claims_by_age on weaver.event_claims using brin (created_at);

-- The functions below put the setting on for as long as they need it. Nobody but the owner has the right to change these
-- tables in the first place; this keeps the owner's own hands, and psql's, off them.
create or replace function weaver.refuse_change() returns trigger language plpgsql as $$
begin
  if current_setting('weaver.retention', true) = 'on' then
    return null;
  end if;
  raise exception using errcode = '42501',
    message = format('%s on %I.%I is refused: the log is only ever added to', tg_op, tg_table_schema, tg_table_name),
    hint = 'Append a new event that corrects the old one; what is too old, weaver.retain_outbox_day() takes away.';
end $$;

-- Days of the log that have something to be taken away, by what is known without reading them. A day is named by the
-- partition made for it; of days without one, rows lie in the default partition.
create function weaver.expired_outbox_days(expired timestamptz, audit_expired timestamptz) returns table (day date)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select d.day from (
    select to_date(substr(c.relname, 8), 'YYYYMMDD') as day
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'weaver.outbox'::regclass and c.relname ~ '^outbox_\d{8}$'
    union
    select (o.created_at at time zone 'UTC')::date from weaver.outbox_default o where o.created_at < expired
  ) d left join weaver.outbox_days past on past.day = d.day
  where (d.day + 1)::timestamp at time zone 'UTC' <= expired
    and (past.day is null or (past.kept > 0 and (d.day + 1)::timestamp at time zone 'UTC' <= audit_expired))
  order by d.day;
$$;

-- Takes one day's events away but those kept for audit, which keep their place; gives what came of it: `done`, or why
-- not yet (`busy`, `waiting`). The kept rows are copied while everybody works on; only the exchange of the partitions
-- shuts others out, for a moment, and it waits for its turn in small bites.
create function weaver.retain_outbox_day(the_day date, audit_expired timestamptz, replay bigint)
returns table (outcome text, rows_kept bigint, rows_dropped bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  starts constant timestamptz := the_day::timestamp at time zone 'UTC';
  ends constant timestamptz := (the_day + 1)::timestamp at time zone 'UTC';
  partition constant text := 'outbox_' || to_char(the_day, 'YYYYMMDD');
  own constant boolean := to_regclass('weaver.' || partition) is not null;
  audited constant boolean := audit_expired is null or ends > audit_expired;
  done_below bigint;
  held bigint;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('weaver:outbox_retention', 0)) then
    return query select 'busy', 0::bigint, 0::bigint;
    return;
  end if;
  select least(min(c.last_offset), (select max(s.seq) from weaver.outbox_seq s) - replay) + 1 into done_below
  from weaver.consumer_offsets c;
  create temp table log_day (id bigint, seq bigint, for_audit boolean) on commit drop;
  execute format(
    'insert into pg_temp.log_day select o.id, s.seq, o.type like ''system.%%'' or r.id is not null
     from weaver.%I o left join weaver.outbox_seq s on s.outbox_id = o.id
       left join weaver.runs r on r.id = o.run_id and (r.mode in (''live'', ''paper'') or r.audit = ''full'')
     where o.created_at >= %L and o.created_at < %L', case when own then partition else 'outbox_default' end, starts, ends);
  select count(*) into held from pg_temp.log_day d where d.seq is null or d.seq >= done_below;
  if held > 0 then
    drop table pg_temp.log_day;
    return query select 'waiting', 0::bigint, 0::bigint;
    return;
  end if;

  perform set_config('weaver.retention', 'on', true);
  delete from weaver.outbox_seq s using pg_temp.log_day d where s.seq = d.seq and not (d.for_audit and audited);
  select count(*) filter (where d.for_audit and audited), count(*) filter (where not (d.for_audit and audited))
  into rows_kept, rows_dropped from pg_temp.log_day d;
  if own then
    perform weaver.exchange_outbox_partition(partition, starts, ends, audited, rows_kept, rows_dropped);
  else
    delete from weaver.outbox_default o using pg_temp.log_day d
    where o.id = d.id and o.created_at >= starts and o.created_at < ends and not (d.for_audit and audited);
  end if;
  perform set_config('weaver.retention', 'off', true);
  update weaver.outbox_horizon h set updated_at = clock_timestamp(),
    seq = greatest(h.seq, (select max(d.seq) + 1 from pg_temp.log_day d where not (d.for_audit and audited))),
    audit_seq = greatest(h.audit_seq, (select max(d.seq) + 1 from pg_temp.log_day d where d.for_audit and not audited));
  insert into weaver.outbox_days as past (day, kept, dropped) values (the_day, rows_kept, rows_dropped)
  on conflict (day) do update set kept = excluded.kept, dropped = past.dropped + excluded.dropped;
  drop table pg_temp.log_day;
  outcome := 'done';
  return next;
end $$;

-- A partition with only the kept rows in place of the whole one, or in place of it nothing.
create function weaver.exchange_outbox_partition(
  partition text, starts timestamptz, ends timestamptz, audited boolean, rows_kept bigint, rows_dropped bigint
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  tries_left integer := 50;
begin
  if rows_kept > 0 and rows_dropped = 0 then
    return;
  end if;
  if rows_kept > 0 then
    execute format('create table weaver.%I (like weaver.%I including all excluding identity)', partition || '_kept', partition);
    execute format(
      'insert into weaver.%1$I select o.* from weaver.%2$I o join pg_temp.log_day d using (id) where d.for_audit and $1 order by o.id',
      partition || '_kept', partition) using audited;
    -- With it, attaching need not read the rows again.
    execute format('alter table weaver.%I add constraint of_the_day check (created_at >= %L and created_at < %L)',
      partition || '_kept', starts, ends);
  end if;
  -- A waiting request for this lock makes everybody behind it wait too: ask briefly, and again.
  loop
    begin
      lock table weaver.outbox in access exclusive mode;
      exit;
    exception when lock_not_available then
      tries_left := tries_left - 1;
      if tries_left = 0 then
        raise;
      end if;
      perform pg_sleep(0.2);
    end;
  end loop;
  execute format('alter table weaver.outbox detach partition weaver.%I', partition);
  execute format('drop table weaver.%I', partition);
  if rows_kept > 0 then
    execute format('alter table weaver.%I rename to %I', partition || '_kept', partition);
    execute format('alter table weaver.outbox attach partition weaver.%I for values from (%L) to (%L)', partition, starts, ends);
    execute format('alter table weaver.%I drop constraint of_the_day', partition);
    execute format('select weaver.protect_log_table(%L)', 'weaver.' || partition);
    -- A transaction of one snapshot that began before would find neither the old rows nor the new ones.
    if exists (
      select from pg_stat_activity a
      where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_xmin is not null
        and a.state = 'idle in transaction'
    ) then
      raise exception using errcode = '55P03', message = 'another transaction reads the log in one snapshot';
    end if;
  end if;
end $$;

-- A claim keeps a job from having its effect twice: without job, or one that can be tried again, it is of no use.
create function weaver.prune_event_claims(expired timestamptz, at_most integer) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  with jobs as materialized (
    select j.payload ->> 'event_id' as event_id from graphile_worker._private_jobs j
    union all
    select l.payload ->> 'event_id' from weaver.job_dead_letters l
  ), gone as (
    delete from weaver.event_claims c where c.ctid in (
      select old.ctid from weaver.event_claims old
      where old.created_at < expired
        and not exists (select from jobs where jobs.event_id = old.event_id::text)
      limit at_most
    ) returning 1
  )
  select count(*) from gone;
$$;

-- The sequencer's snapshot means something in the cluster that it was taken in, and nothing in another one into which
-- the database was restored.

alter table weaver.sequencer
  add column system_id bigint,
  add column rebased_at timestamptz;
comment on column weaver.sequencer.system_id is 'The cluster whose transactions the snapshot speaks of.';

-- Numbers all that has no seq, in the order of id, and begins a new snapshot. Transaction ids of the other cluster that
-- this one has yet to reach would count as not yet seen again and again: they become 3, long past.
create function weaver.rebase_sequencer() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  here constant bigint := (select c.system_identifier from pg_control_system() c);
  first_seq bigint;
  numbered bigint;
begin
  -- Waits for every append under way; with the lock, the next statement's snapshot sees them all.
  lock table weaver.outbox in share row exclusive mode;
  perform from weaver.sequencer s where s.system_id = here for update;
  if found then
    return 0;
  end if;
  select greatest(s.next_seq, (select max(q.seq) + 1 from weaver.outbox_seq q)) into strict first_seq
  from weaver.sequencer s for update;
  insert into weaver.outbox_seq (seq, outbox_id, created_at, type, run_id)
  select first_seq + row_number() over (order by o.id) - 1, o.id, o.created_at, o.type, o.run_id
  from weaver.outbox o
  where not exists (select from weaver.outbox_seq s where s.outbox_id = o.id);
  get diagnostics numbered = row_count;
  perform set_config('weaver.retention', 'on', true);
  update weaver.outbox o set txid = '3' where o.txid >= pg_snapshot_xmin(pg_current_snapshot());
  perform set_config('weaver.retention', 'off', true);
  update weaver.sequencer s set snapshot = pg_current_snapshot(), next_seq = first_seq + numbered, system_id = here,
    rebased_at = clock_timestamp(), updated_at = clock_timestamp();
  return numbered;
end $$;
select weaver.rebase_sequencer();

create or replace function weaver.sequence_outbox() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  previous pg_snapshot;
  first_seq bigint;
  numbered bigint;
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise exception using errcode = '25001',
      message = 'sequence_outbox() must be called before anything is written in its transaction',
      hint = 'Call it in a transaction of its own: its own events would be numbered twice or never.';
  end if;
  select s.snapshot into previous from weaver.sequencer s
  where s.system_id = (select c.system_identifier from pg_control_system() c);
  if not found then
    return weaver.rebase_sequencer();
  end if;
  -- An idle system must not use up a transaction id per poll.
  perform from weaver.outbox o
    where o.txid >= pg_snapshot_xmin(previous) and not pg_visible_in_snapshot(o.txid, previous) limit 1;
  if not found then
    return 0;
  end if;
  -- First the lock, and only in the next statement the window: its snapshot must be newer than the lock.
  select s.snapshot, s.next_seq into strict previous, first_seq from weaver.sequencer s for update;
  with win as materialized (
    select o.id, o.created_at, o.type, o.run_id, row_number() over (order by o.id) - 1 as n
    from weaver.outbox o
    where o.txid >= pg_snapshot_xmin(previous) and not pg_visible_in_snapshot(o.txid, previous)
  ), added as (
    insert into weaver.outbox_seq (seq, outbox_id, created_at, type, run_id)
    select first_seq + win.n, win.id, win.created_at, win.type, win.run_id from win order by win.n
  )
  update weaver.sequencer s
  set snapshot = pg_current_snapshot(), next_seq = s.next_seq + (select count(*) from win), updated_at = clock_timestamp()
  returning s.next_seq - first_seq into numbered;
  return numbered;
end $$;

revoke execute on function weaver.expired_outbox_days(timestamptz, timestamptz),
  weaver.retain_outbox_day(date, timestamptz, bigint),
  weaver.exchange_outbox_partition(text, timestamptz, timestamptz, boolean, bigint, bigint),
  weaver.prune_event_claims(timestamptz, integer), weaver.rebase_sequencer() from public;
grant execute on function weaver.expired_outbox_days(timestamptz, timestamptz),
  weaver.retain_outbox_day(date, timestamptz, bigint), weaver.prune_event_claims(timestamptz, integer) to weaver_walle;
