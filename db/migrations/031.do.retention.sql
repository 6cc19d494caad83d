-- A system that runs for years: a log whose partitions do not become ever more, upkeep that nobody waits for, tables that
-- are thinned out.

-- What is kept for audit of days that retention has been over is put together by the month. Every look into the log goes
-- through all of its partitions, which each statement that plans it locks, with their indexes.

-- The oldest month that is over and done with, and still lies in days.
create function weaver.foldable_outbox_month(expired timestamptz) returns date
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select month from (
    select date_trunc('month', to_date(substr(c.relname, 8), 'YYYYMMDD'))::date as month,
      bool_and(exists (select from weaver.outbox_days past where past.day = to_date(substr(c.relname, 8), 'YYYYMMDD'))) as done
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'weaver.outbox'::regclass and c.relname ~ '^outbox_\d{8}$'
    group by 1
  ) months
  where done and (month + interval '1 month')::timestamp at time zone 'UTC' <= expired
    and to_regclass('weaver.outbox_' || to_char(month, 'YYYYMM')) is null
    -- Of days that had no partition: one of the month could not take its place beside them.
    and not exists (
      select from weaver.outbox_default o
      where o.created_at >= month::timestamp at time zone 'UTC'
        and o.created_at < (month + interval '1 month')::timestamp at time zone 'UTC'
    )
  order by month limit 1;
$$;

-- Copies the next rows of the month, in the order of their key, to a table beside the log; gives how many. -1: another one
-- is at it. They have their seq: as of a transaction long past, the sequencer never looks at them again, in whatever cluster.
create function weaver.copy_outbox_month(month date, at_most integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  starts constant timestamptz := month::timestamp at time zone 'UTC';
  ends constant timestamptz := (month + interval '1 month')::timestamp at time zone 'UTC';
  made constant text := 'outbox_' || to_char(month, 'YYYYMM') || '_made';
  last record;
  copied integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('weaver:outbox_retention', 0)) then
    return -1;
  end if;
  if to_regclass('weaver.' || made) is null then
    execute format('create table weaver.%I (like weaver.outbox including all excluding identity)', made);
    -- With it, attaching need not read the rows again.
    execute format('alter table weaver.%I add constraint of_the_month check (created_at >= %L and created_at < %L)',
      made, starts, ends);
    execute format('select weaver.protect_log_table(%L)', 'weaver.' || made);
  end if;
  execute format('select created_at, id from weaver.%I order by created_at desc, id desc limit 1', made) into last;
  -- Values and not parameters, so that only the month's partitions are looked at.
  execute format(
    'insert into weaver.%I (id, event_id, type, run_id, corr_id, causation_id, txid, payload, created_at)
     select o.id, o.event_id, o.type, o.run_id, o.corr_id, o.causation_id, ''3'', o.payload, o.created_at
     from weaver.outbox o
     where o.created_at >= %L and o.created_at < %L and (o.created_at, o.id) > (%L::timestamptz, %L::bigint)
       and pg_visible_in_snapshot(o.txid, (select s.snapshot from weaver.sequencer s))
     order by o.created_at, o.id limit %s',
    made, starts, ends, coalesce(last.created_at, '-infinity'), coalesce(last.id, -1), at_most);
  get diagnostics copied = row_count;
  return copied;
end $$;

-- The copy in the place of the month's days; `done`, or why not (`busy`; `again`: the days have changed, it is copied anew).
create function weaver.exchange_outbox_month(month date) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  starts constant timestamptz := month::timestamp at time zone 'UTC';
  ends constant timestamptz := (month + interval '1 month')::timestamp at time zone 'UTC';
  partition constant text := 'outbox_' || to_char(month, 'YYYYMM');
  made constant text := partition || '_made';
  of_day text;
  stored bigint;
  copied bigint;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('weaver:outbox_retention', 0)) then
    return 'busy';
  end if;
  execute format('select count(*) from weaver.outbox where created_at >= %L and created_at < %L', starts, ends) into stored;
  execute format('select count(*) from weaver.%I', made) into copied;
  if stored <> copied then
    execute format('drop table weaver.%I', made);
    return 'again';
  end if;
  perform weaver.lock_outbox();
  for of_day in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'weaver.outbox'::regclass and c.relname ~ ('^' || partition || '\d{2}$')
  loop
    execute format('alter table weaver.outbox detach partition weaver.%I', of_day);
    execute format('drop table weaver.%I', of_day);
  end loop;
  execute format('alter table weaver.%I rename to %I', made, partition);
  execute format('alter table weaver.outbox attach partition weaver.%I for values from (%L) to (%L)', partition, starts, ends);
  execute format('alter table weaver.%I drop constraint of_the_month', partition);
  perform weaver.refuse_surprises();
  return 'done';
end $$;

-- Shuts everybody out. A waiting request for this lock makes everybody behind it wait too: ask briefly, and again.
create function weaver.lock_outbox() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  for tries in 1..50 loop
    begin
      lock table weaver.outbox in access exclusive mode;
      return;
    exception when lock_not_available then
      if tries = 50 then
        raise;
      end if;
      perform pg_sleep(0.2);
    end;
  end loop;
end $$;

-- A transaction of one snapshot that began before would find neither the old rows nor the new ones.
create function weaver.refuse_surprises() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if exists (
    select from pg_stat_activity a
    where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_xmin is not null
      and a.state = 'idle in transaction'
  ) then
    raise exception using errcode = '55P03', message = 'another transaction reads the log in one snapshot';
  end if;
end $$;

-- A partition with only the kept rows in place of the whole one, or in place of it nothing.
create or replace function weaver.exchange_outbox_partition(
  partition text, starts timestamptz, ends timestamptz, audited boolean, rows_kept bigint, rows_dropped bigint
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
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
  perform weaver.lock_outbox();
  execute format('alter table weaver.outbox detach partition weaver.%I', partition);
  execute format('drop table weaver.%I', partition);
  if rows_kept > 0 then
    execute format('alter table weaver.%I rename to %I', partition || '_kept', partition);
    execute format('alter table weaver.outbox attach partition weaver.%I for values from (%L) to (%L)', partition, starts, ends);
    execute format('alter table weaver.%I drop constraint of_the_day', partition);
    execute format('select weaver.protect_log_table(%L)', 'weaver.' || partition);
    perform weaver.refuse_surprises();
  end if;
end $$;

-- As before, and days that lie in their month's partition: those that keep something, until their audit is over.
create or replace function weaver.expired_outbox_days(expired timestamptz, audit_expired timestamptz) returns table (day date)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select d.day from (
    select to_date(substr(c.relname, 8), 'YYYYMMDD') as day
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'weaver.outbox'::regclass and c.relname ~ '^outbox_\d{8}$'
    union
    select (o.created_at at time zone 'UTC')::date from weaver.outbox_default o where o.created_at < expired
    union
    select kept.day from weaver.outbox_days kept where kept.kept > 0
  ) d left join weaver.outbox_days past on past.day = d.day
  where (d.day + 1)::timestamp at time zone 'UTC' <= expired
    and (past.day is null or (past.kept > 0 and (d.day + 1)::timestamp at time zone 'UTC' <= audit_expired))
  order by d.day;
$$;

-- As before; rows of a day whose month is one partition leave it one by one, and with the last day the partition.
create or replace function weaver.retain_outbox_day(the_day date, audit_expired timestamptz, replay bigint)
returns table (outcome text, rows_kept bigint, rows_dropped bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  starts constant timestamptz := the_day::timestamp at time zone 'UTC';
  ends constant timestamptz := (the_day + 1)::timestamp at time zone 'UTC';
  month_starts constant timestamptz := date_trunc('month', the_day)::timestamp at time zone 'UTC';
  month_ends constant timestamptz := (date_trunc('month', the_day) + interval '1 month')::timestamp at time zone 'UTC';
  of_day constant text := 'outbox_' || to_char(the_day, 'YYYYMMDD');
  of_month constant text := 'outbox_' || to_char(the_day, 'YYYYMM');
  own constant boolean := to_regclass('weaver.' || of_day) is not null;
  folded constant boolean := not own and to_regclass('weaver.' || of_month) is not null;
  partition constant text := case when own then of_day when folded then of_month else 'outbox_default' end;
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
     where o.created_at >= %L and o.created_at < %L', partition, starts, ends);
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
    execute format(
      'delete from weaver.%I o using pg_temp.log_day d
       where o.id = d.id and o.created_at >= %L and o.created_at < %L and not (d.for_audit and $1)', partition, starts, ends)
      using audited;
  end if;
  perform set_config('weaver.retention', 'off', true);
  update weaver.outbox_horizon h set updated_at = clock_timestamp(),
    seq = greatest(h.seq, (select max(d.seq) + 1 from pg_temp.log_day d where not (d.for_audit and audited))),
    audit_seq = greatest(h.audit_seq, (select max(d.seq) + 1 from pg_temp.log_day d where d.for_audit and not audited));
  insert into weaver.outbox_days as past (day, kept, dropped) values (the_day, rows_kept, rows_dropped)
  on conflict (day) do update set kept = excluded.kept, dropped = past.dropped + excluded.dropped;
  if folded and not exists (
    select from weaver.outbox_days left_over
    where left_over.kept > 0 and left_over.day >= month_starts at time zone 'UTC' and left_over.day < month_ends at time zone 'UTC'
  ) then
    perform weaver.exchange_outbox_partition(of_month, month_starts, month_ends, false, 0, 0);
  end if;
  drop table pg_temp.log_day;
  outcome := 'done';
  return next;
end $$;

-- Making or dropping a partition shuts out whoever appends, reads the log or ends a job, and waits for those who read: a
-- backup, say, reads for long, and behind a request that waits everybody does. There are days to do it in: it is asked for
-- briefly, and again at the next round.

create or replace function weaver.premake_outbox_partitions(days integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  first_day date := (clock_timestamp() at time zone 'UTC')::date;
  day date;
  partition text;
  made integer := 0;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('weaver:outbox_partitions', 0)) then
    return 0;
  end if;
  for n in 0..days loop
    day := first_day + n;
    partition := 'outbox_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass('weaver.' || partition) is not null;
    begin
      execute format('create table weaver.%I partition of weaver.outbox for values from (%L) to (%L)',
        partition, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
      execute format('select weaver.protect_log_table(%L)', 'weaver.' || partition);
      made := made + 1;
    exception
      when check_violation then
        -- The default partition already holds rows of that day; they stay there, and so do the day's later ones.
        null;
      when lock_not_available then
        return made;
    end;
  end loop;
  return made;
end $$;

create or replace function weaver.tidy_jobs(days integer, keep_days integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  today date := (clock_timestamp() at time zone 'UTC')::date;
  day date;
  old record;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('weaver:job_runs_partitions', 0)) then
    return;
  end if;
  delete from weaver.job_crashes c where not exists (select from graphile_worker._private_jobs j where j.id = c.job_id);
  delete from weaver.job_runs_default where finished_at < (today - keep_days)::timestamp at time zone 'UTC';
  for n in 0..days loop
    day := today + n;
    continue when to_regclass('weaver.job_runs_' || to_char(day, 'YYYYMMDD')) is not null;
    begin
      execute format('create table weaver.%I partition of weaver.job_runs for values from (%L) to (%L)',
        'job_runs_' || to_char(day, 'YYYYMMDD'), day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
    exception when check_violation then
      -- The default partition already holds rows of that day; they stay there, and so do the day's later ones.
      null;
    end;
  end loop;
  for old in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'weaver.job_runs'::regclass and c.relname ~ '^job_runs_\d{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep_days
  loop
    execute format('drop table weaver.%I', old.relname);
  end loop;
exception when lock_not_available then
  null;
end $$;

revoke execute on function weaver.foldable_outbox_month(timestamptz), weaver.copy_outbox_month(date, integer),
  weaver.exchange_outbox_month(date), weaver.lock_outbox(), weaver.refuse_surprises() from public;
grant execute on function weaver.foldable_outbox_month(timestamptz), weaver.copy_outbox_month(date, integer),
  weaver.exchange_outbox_month(date) to weaver_walle;

-- Of tables with millions of rows a fifth would be dead before they are cleaned, as their oldest rows go every hour.
alter table weaver.clock_ticks set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table weaver.event_claims set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table weaver.window_waits set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table weaver.hops set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table weaver.venue_updates set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- A run that is deleted takes them along, and a replay asks which of its orders were to be cancelled.
create index order_sends_by_run on weaver.order_sends (run_id);
