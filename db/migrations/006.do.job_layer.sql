-- The job layer: a history of finished jobs, dead letters that can be retried, cancelling, pauses, time-outs, and jobs
-- that kill their worker. Replaces functions of 004; they touch private tables of graphile-worker 0.18.0, as there.

create table weaver.job_runs (
  job_id bigint not null,
  attempt smallint not null,
  outcome text not null check (outcome in ('done', 'failed', 'timed_out', 'crashed', 'cancelled', 'dead')),
  task text not null,
  queue text,
  run_id uuid,
  event_id uuid,
  created_at timestamptz not null,
  due_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz not null default clock_timestamp(),
  worker text,
  error text,
  primary key (job_id, attempt, finished_at)
) partition by range (finished_at);
comment on table weaver.job_runs is
  'Every attempt at a job that has ended, written in the transaction that ended it. Partitioned by UTC day; see the view job_history.';
comment on column weaver.job_runs.outcome is
  'done; failed, timed_out, crashed: the job comes again; dead: it does not; cancelled: somebody asked for it.';
create index job_runs_by_run on weaver.job_runs (run_id, job_id) where run_id is not null;
create table weaver.job_runs_default partition of weaver.job_runs default;

-- Makes the partitions of the coming days, drops those older than keep_days, and forgets the crashes of jobs that are gone.
create function weaver.tidy_jobs(days integer, keep_days integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
  today date := (clock_timestamp() at time zone 'UTC')::date;
  day date;
  old record;
begin
  perform pg_advisory_xact_lock(hashtextextended('weaver:job_runs_partitions', 0));
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
  delete from weaver.job_runs_default where finished_at < (today - keep_days)::timestamp at time zone 'UTC';
  delete from weaver.job_crashes c where not exists (select from graphile_worker._private_jobs j where j.id = c.job_id);
end $$;

create table weaver.job_crashes (
  job_id bigint primary key,
  crashes integer not null,
  last_at timestamptz not null
);
comment on table weaver.job_crashes is
  'How often in a row the worker process died while it ran the job. A failure of the job''s own starts the count anew.';

create table weaver.job_pauses (
  kind text not null check (kind in ('queue', 'task')),
  name text not null check (length(name) between 1 and 128),
  created_at timestamptz not null default clock_timestamp(),
  primary key (kind, name)
);
comment on table weaver.job_pauses is 'Queues and tasks whose jobs wait until they are resumed.';

alter table weaver.job_dead_letters
  add column queue text,
  add column settled text check (settled in ('retried', 'discarded')),
  add column settled_at timestamptz,
  add column retried_as bigint;
comment on column weaver.job_dead_letters.settled is 'Null: somebody is still to decide what becomes of it.';
comment on column weaver.job_dead_letters.retried_as is 'The job that it became.';
update weaver.job_dead_letters set queue = 'run:' || run_id where run_id is not null;

select weaver.tidy_jobs(7, 14);

-- A paused job is one that is due in a thousand years; taking them off again gives the old order back. In hours, because
-- longer units depend on the calendar of the session's time zone.
create function weaver.pause_shift() returns interval language sql immutable as $$
  select interval '8766000 hours';
$$;

create function weaver.is_paused(run_at timestamptz) returns boolean language sql stable as $$
  select run_at > now() + interval '4383000 hours';
$$;

-- When a job that comes (back) into the queue is due. The caller holds the lock that pauses take, shared.
create function weaver.due_at(wanted timestamptz, in_queue text, of_task text) returns timestamptz language sql stable as $$
  select case when exists (
    select from weaver.job_pauses p where (p.kind, p.name) in (('queue', in_queue), ('task', of_task))
  ) then wanted + weaver.pause_shift() else wanted end;
$$;

create function weaver.queue_of(job graphile_worker._private_jobs) returns text language sql stable as $$
  select q.queue_name from graphile_worker._private_job_queues q where q.id = job.job_queue_id;
$$;

create function weaver.task_of(job graphile_worker._private_jobs) returns text language sql stable as $$
  select t.identifier from graphile_worker._private_tasks t where t.id = job.task_id;
$$;

create function weaver.uuid_in(payload json, field text) returns uuid language sql immutable as $$
  select case when payload ->> field ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (payload ->> field)::uuid end;
$$;

-- plpgsql, here and below where a job's every hop comes by: before Postgres 18 a function in SQL is planned anew at each call.
create function weaver.note_job_run(job graphile_worker._private_jobs, outcome text, error text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into weaver.job_runs
    (job_id, attempt, outcome, task, queue, run_id, event_id, created_at, due_at, started_at, worker, error)
  select job.id, job.attempts, note_job_run.outcome, t.identifier, q.queue_name,
    weaver.uuid_in(job.payload, 'run_id'), weaver.uuid_in(job.payload, 'event_id'), job.created_at,
    case when weaver.is_paused(job.run_at) then job.run_at - weaver.pause_shift() else job.run_at end,
    job.locked_at, job.locked_by, left(note_job_run.error, 2000)
  from graphile_worker._private_tasks t
    left join graphile_worker._private_job_queues q on q.id = job.job_queue_id
  where t.id = job.task_id;
end $$;

create function weaver.free_queue(job graphile_worker._private_jobs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update graphile_worker._private_job_queues q set locked_by = null, locked_at = null
    where q.id = job.job_queue_id and q.locked_by = job.locked_by;
end $$;

-- jobs: [{task, payload, queue?, max_attempts?, priority?}], in the order in which they are to run. Gives their ids, in
-- no order.
drop function weaver.enqueue(jsonb);
create function weaver.enqueue(jobs jsonb) returns bigint[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  specs graphile_worker.job_spec[];
  ids bigint[];
begin
  if exists (select from jsonb_array_elements(jobs) j where coalesce((j ->> 'max_attempts')::integer, 3) < 3) then
    raise exception using errcode = '22023', message = 'a job''s max_attempts must be at least 3',
      hint = 'An attempt is used up when the job is fetched: with one or two a crash alone would end it.';
  end if;
  -- Shared with remove_idle_queues(), which must not delete a queue that a job is about to join, and with pauses, which
  -- must not miss one.
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  -- A microsecond apart: graphile-worker fetches by (priority, run_at), and jobs of one transaction would tie.
  select array_agg((
    j ->> 'task', coalesce(j -> 'payload', '{}')::json, j ->> 'queue',
    weaver.due_at(now() + (n - 1) * interval '1 microsecond', j ->> 'queue', j ->> 'task'),
    coalesce((j ->> 'max_attempts')::integer, 5), null, coalesce((j ->> 'priority')::integer, 0), null
  )::graphile_worker.job_spec order by n)
  into specs from jsonb_array_elements(jobs) with ordinality as list (j, n);
  if specs is not null then
    select array_agg(added.id) into ids from graphile_worker.add_jobs(specs) added;
  end if;
  return coalesce(ids, '{}');
end $$;
comment on function weaver.enqueue(jsonb) is
  'Adds jobs, once per transaction. No job keys: a keyed add can add nothing under contention.';

-- The last statement of a job's business transaction: false means that the job is no longer this worker's.
drop function weaver.finish_job(bigint, text, integer);
create function weaver.finish_job(job_id bigint, worker text, attempt integer) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
begin
  delete from graphile_worker._private_jobs j
    where j.id = job_id and j.locked_by = worker and j.attempts = attempt returning j.* into job;
  if not found then
    return false;
  end if;
  perform weaver.free_queue(job);
  perform weaver.note_job_run(job, 'done', null);
  return true;
end $$;

-- Records that an attempt failed, or took too long; the job comes again after the delay. False as in finish_job.
-- It keeps its id: the task must end with an error, for after one that ends well graphile-worker deletes by id.
create function weaver.fail_job(
  job_id bigint, worker text, attempt integer, outcome text, error text, delay interval
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  select j.* into job from graphile_worker._private_jobs j
    where j.id = job_id and j.locked_by = worker and j.attempts = attempt for update;
  if not found then
    return false;
  end if;
  update graphile_worker._private_jobs j
    set locked_by = null, locked_at = null, last_error = left(error, 2000), updated_at = now(),
      run_at = weaver.due_at(now() + delay, weaver.queue_of(job), weaver.task_of(job))
    where j.id = job_id;
  perform weaver.free_queue(job);
  perform weaver.note_job_run(job, outcome, error);
  delete from weaver.job_crashes c where c.job_id = fail_job.job_id;
  return true;
end $$;

-- Gives the job back to the queue without using up an attempt; false as in finish_job. It comes back under a new id,
-- because graphile-worker goes by the old one when it records that the handler has ended without an error.
create or replace function weaver.put_back_job(job_id bigint, worker text, attempt integer, delay interval) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  delete from graphile_worker._private_jobs j
    where j.id = job_id and j.locked_by = worker and j.attempts = attempt returning j.* into job;
  if not found then
    return false;
  end if;
  perform weaver.free_queue(job);
  insert into graphile_worker._private_jobs
    (job_queue_id, task_id, payload, priority, run_at, attempts, max_attempts, last_error, created_at, flags)
  values (job.job_queue_id, job.task_id, job.payload, job.priority,
    weaver.due_at(now() + delay, weaver.queue_of(job), weaver.task_of(job)),
    job.attempts - 1, job.max_attempts, job.last_error, job.created_at, job.flags);
  return true;
end $$;

create function weaver.lay_to_rest(job graphile_worker._private_jobs, error text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into weaver.job_dead_letters (id, task, payload, run_id, error, attempts, failed_at, queue)
  values (job.id, weaver.task_of(job), job.payload::jsonb, weaver.uuid_in(job.payload, 'run_id'), left(error, 2000),
    job.attempts, clock_timestamp(), weaver.queue_of(job));
  perform weaver.note_job_run(job, 'dead', error);
end $$;

-- Makes a dead letter of a job that a worker holds; false as in finish_job.
create function weaver.bury_job(job_id bigint, worker text, attempt integer, error text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
begin
  delete from graphile_worker._private_jobs j
    where j.id = job_id and j.locked_by = worker and j.attempts = attempt returning j.* into job;
  if not found then
    return false;
  end if;
  perform weaver.free_queue(job);
  perform weaver.lay_to_rest(job, error);
  return true;
end $$;

-- Makes dead letters of jobs that have no attempt left, and gives them, so that the rest is recorded in the same transaction.
create or replace function weaver.take_failed_jobs(at_most integer)
returns table (id bigint, task text, payload jsonb, error text, attempts integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
begin
  for job in
    select j.* from graphile_worker._private_jobs j
    where j.attempts >= j.max_attempts and j.locked_at is null order by j.id limit at_most for update skip locked
  loop
    delete from graphile_worker._private_jobs j where j.id = job.id;
    id := job.id;
    task := weaver.task_of(job);
    payload := job.payload::jsonb;
    error := coalesce(job.last_error, 'the worker died at every attempt');
    attempts := job.attempts;
    perform weaver.lay_to_rest(job, error);
    return next;
  end loop;
end $$;

-- limits: [{task, ms}]. The jobs that have been running for longer than their task's limit.
create function weaver.overdue_jobs(limits jsonb)
returns table (id bigint, locked_by text, attempts integer, max_attempts integer, task text, payload jsonb, limit_ms integer)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select j.id, j.locked_by, j.attempts::integer, j.max_attempts::integer, t.identifier, j.payload::jsonb, l.ms
  from jsonb_to_recordset(limits) as l (task text, ms integer)
    join graphile_worker._private_tasks t on t.identifier = l.task
    join graphile_worker._private_jobs j on j.task_id = t.id
  where j.locked_at < now() - l.ms * interval '1 millisecond'
  order by j.id;
$$;

-- Takes a job out of the queue, whoever holds it. Gives 'waiting' or 'running', what it was doing; 'busy' when it is
-- just changing and the caller should ask again; null when there is no such job.
create function weaver.cancel_job(job_id bigint, reason text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
begin
  select j.* into job from graphile_worker._private_jobs j where j.id = job_id for update skip locked;
  if not found then
    return (select 'busy' from graphile_worker._private_jobs j where j.id = job_id);
  end if;
  delete from graphile_worker._private_jobs j where j.id = job_id;
  perform weaver.free_queue(job);
  perform weaver.note_job_run(job, 'cancelled', reason);
  -- Whatever its queue still holds may run now.
  perform pg_notify('jobs:insert', '{"count":1}');
  return case when job.locked_by is null then 'waiting' else 'running' end;
end $$;

-- The job that the dead letter becomes; null when it is settled already, or there is none.
create function weaver.retry_dead_job(dead_id bigint, max_attempts integer, priority integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  letter weaver.job_dead_letters;
  ids bigint[];
begin
  select d.* into letter from weaver.job_dead_letters d where d.id = dead_id and d.settled is null for update;
  if not found then
    return null;
  end if;
  ids := weaver.enqueue(jsonb_build_array(jsonb_build_object('task', letter.task, 'payload', letter.payload,
    'queue', letter.queue, 'max_attempts', max_attempts, 'priority', priority)));
  update weaver.job_dead_letters d set settled = 'retried', settled_at = clock_timestamp(), retried_as = ids[1]
    where d.id = dead_id;
  return ids[1];
end $$;

-- Both give the number of jobs that they held back or let go. A second pause, or a resume without one, changes nothing.
create function weaver.pause_jobs(of_kind text, of_name text) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
declare
  held integer;
begin
  -- Waits for the transactions that add jobs now; those that come after it see the pause.
  perform pg_advisory_xact_lock(hashtextextended('weaver:job_queues', 0));
  insert into weaver.job_pauses (kind, name) values (of_kind, of_name) on conflict do nothing;
  update graphile_worker._private_jobs j set run_at = j.run_at + weaver.pause_shift(), updated_at = now()
    where j.locked_at is null and not weaver.is_paused(j.run_at)
      and case of_kind when 'queue' then weaver.queue_of(j) else weaver.task_of(j) end = of_name;
  get diagnostics held = row_count;
  return held;
end $$;

create function weaver.resume_jobs(of_kind text, of_name text) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
declare
  freed integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('weaver:job_queues', 0));
  delete from weaver.job_pauses p where (p.kind, p.name) = (of_kind, of_name);
  update graphile_worker._private_jobs j set run_at = j.run_at - weaver.pause_shift(), updated_at = now()
    where weaver.is_paused(j.run_at)
      and case of_kind when 'queue' then weaver.queue_of(j) else weaver.task_of(j) end = of_name
      and not exists (
        select from weaver.job_pauses p where (p.kind, p.name) in (('queue', weaver.queue_of(j)), ('task', weaver.task_of(j)))
      );
  get diagnostics freed = row_count;
  perform pg_notify('jobs:insert', '{"count":10}');
  return freed;
end $$;

-- A worker that stops frees what it still holds: not the jobs' doing, so their attempt is given back.
create or replace function weaver.unlock_jobs_of(workers text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  job graphile_worker._private_jobs;
  freed integer := 0;
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  for job in
    select j.* from graphile_worker._private_jobs j where j.locked_by = any (workers) for update
  loop
    update graphile_worker._private_jobs j
      set locked_at = null, locked_by = null, attempts = greatest(j.attempts - 1, 0), updated_at = now(),
        run_at = weaver.due_at(j.run_at, weaver.queue_of(job), weaver.task_of(job))
      where j.id = job.id;
    freed := freed + 1;
  end loop;
  update graphile_worker._private_job_queues set locked_at = null, locked_by = null where locked_by = any (workers);
  return freed;
end $$;

-- Whose worker died may be what killed it. The count starts anew an hour after the last crash. From the third crash on
-- the job waits for some of five seconds, so that the others that died with it are tried without it; at the limit it
-- loses its attempts and is recorded as dead.
create function weaver.count_crash(job graphile_worker._private_jobs, crash_limit integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n integer;
begin
  perform weaver.note_job_run(job, 'crashed', 'the worker process died');
  insert into weaver.job_crashes as c (job_id, crashes, last_at) values (job.id, 1, now())
    on conflict (job_id) do update
    set crashes = case when c.last_at < now() - interval '1 hour' then 1 else c.crashes + 1 end, last_at = now()
    returning crashes into n;
  update graphile_worker._private_jobs j set
      attempts = case when n >= crash_limit then j.max_attempts else j.attempts end,
      last_error = case when n >= crash_limit then format(
        'the worker process died %s times in a row while it ran this job: out of memory? See the log of the worker and of the system',
        n) else j.last_error end,
      run_at = case when n >= 3 then greatest(j.run_at, now() + random() * interval '5 seconds') else j.run_at end
    where j.id = job.id and j.locked_by is null;
end $$;

-- Frees the jobs of dead pools, gives how many. Locks of pools that nobody ever registered count as such after five seconds.
drop function weaver.take_over_dead_pools();
create function weaver.take_over_dead_pools(crash_limit integer default 20) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  pool record;
  gone text[] := '{}';
  strangers text[];
  jobs graphile_worker._private_jobs[];
  job graphile_worker._private_jobs;
  freed integer;
begin
  for pool in select id, advisory_key from weaver.worker_pools loop
    if pg_try_advisory_xact_lock(pool.advisory_key) then
      gone := gone || pool.id;
    end if;
  end loop;
  select array_agg(distinct locked.locked_by) into strangers from (
    select j.locked_by from graphile_worker._private_jobs j where j.locked_at < now() - interval '5 seconds'
    union all
    select q.locked_by from graphile_worker._private_job_queues q where q.locked_at < now() - interval '5 seconds'
  ) locked
  where not exists (select from weaver.worker_pools p where p.id = locked.locked_by);
  gone := gone || coalesce(strangers, '{}');
  if cardinality(gone) = 0 then
    return 0;
  end if;
  -- The same lock, taken before the rows': see unlock_jobs_of().
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  select array_agg(held) into jobs from (
    select j from graphile_worker._private_jobs j where j.locked_by = any (gone) for update
  ) locked (held);
  freed := weaver.unlock_jobs_of(gone);
  foreach job in array coalesce(jobs, '{}') loop
    perform weaver.count_crash(job, crash_limit);
  end loop;
  delete from weaver.worker_pools where id = any (gone);
  perform pg_notify('jobs:insert', '{"count":10}');
  return freed;
end $$;

-- What a job is known by in logs and events: of the event that set it off, else of what its run is at.
create function weaver.corr_of(event uuid, run uuid) returns uuid language sql stable as $$
  select coalesce(
    (select o.corr_id from weaver.outbox o where o.event_id = event limit 1),
    (select r.open_corr_id from weaver.runs r where r.id = run)
  );
$$;

create or replace view weaver.job_overview as
  select j.id, t.identifier as task, q.queue_name as queue,
    case
      when j.locked_at is not null then 'running'
      when j.attempts >= j.max_attempts then 'failed'
      when weaver.is_paused(j.run_at) then 'paused'
      when j.run_at <= now() then 'waiting'
      else 'scheduled'
    end as state,
    j.payload ->> 'run_id' as run_id, j.attempts::integer as attempts, j.max_attempts::integer as max_attempts,
    j.priority::integer as priority, now() - j.created_at as age, j.last_error,
    case when weaver.is_paused(j.run_at) then j.run_at - weaver.pause_shift() else j.run_at end as run_at,
    j.locked_at, j.locked_by, j.created_at, j.updated_at,
    coalesce((select c.crashes from weaver.job_crashes c where c.job_id = j.id), 0) as crashes, null::bigint as retried_as,
    weaver.corr_of(weaver.uuid_in(j.payload, 'event_id'), weaver.uuid_in(j.payload, 'run_id')) as corr_id
  from graphile_worker._private_jobs j
    join graphile_worker._private_tasks t on t.id = j.task_id
    left join graphile_worker._private_job_queues q on q.id = j.job_queue_id
  union all
  select d.id, d.task, d.queue, coalesce(d.settled, 'dead'), d.run_id::text, d.attempts, d.attempts, 0,
    now() - d.created_at, d.error, null, null, null, d.created_at, d.updated_at, 0, d.retried_as,
    weaver.corr_of(weaver.uuid_in(d.payload::json, 'event_id'), d.run_id)
  from weaver.job_dead_letters d;
comment on view weaver.job_overview is
  'Every job there is: waiting, scheduled (later), paused, running, failed (about to be recorded as dead), dead; and dead letters that were retried or discarded.';

create view weaver.job_history as
  select h.job_id as id, h.task, h.queue, h.run_id, h.outcome, h.attempt::integer as attempt, h.created_at, h.due_at,
    h.started_at, h.finished_at, h.started_at - h.due_at as wait, h.finished_at - h.started_at as duration, h.error,
    h.worker, weaver.corr_of(h.event_id, h.run_id) as corr_id
  from weaver.job_runs h;
comment on view weaver.job_history is
  'Every attempt at a job that has ended. wait: from when it was due to its start. corr_id is known as long as its event or run is.';

revoke execute on function weaver.tidy_jobs(integer, integer), weaver.note_job_run(graphile_worker._private_jobs, text, text),
  weaver.free_queue(graphile_worker._private_jobs), weaver.enqueue(jsonb), weaver.finish_job(bigint, text, integer),
  weaver.fail_job(bigint, text, integer, text, text, interval), weaver.put_back_job(bigint, text, integer, interval),
  weaver.lay_to_rest(graphile_worker._private_jobs, text), weaver.bury_job(bigint, text, integer, text),
  weaver.take_failed_jobs(integer), weaver.overdue_jobs(jsonb), weaver.cancel_job(bigint, text),
  weaver.retry_dead_job(bigint, integer, integer), weaver.pause_jobs(text, text), weaver.resume_jobs(text, text),
  weaver.unlock_jobs_of(text[]), weaver.count_crash(graphile_worker._private_jobs, integer),
  weaver.take_over_dead_pools(integer) from public;
grant execute on function weaver.tidy_jobs(integer, integer), weaver.enqueue(jsonb),
  weaver.finish_job(bigint, text, integer), weaver.fail_job(bigint, text, integer, text, text, interval),
  weaver.put_back_job(bigint, text, integer, interval), weaver.bury_job(bigint, text, integer, text),
  weaver.take_failed_jobs(integer), weaver.overdue_jobs(jsonb), weaver.cancel_job(bigint, text),
  weaver.retry_dead_job(bigint, integer, integer), weaver.pause_jobs(text, text), weaver.resume_jobs(text, text),
  weaver.take_over_dead_pools(integer) to weaver_walle;
