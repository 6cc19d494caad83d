-- Jobs live in graphile-worker's own schema, which its migrations have made before this one. Its tables have row-level
-- security, so that any role but their owner changes 0 rows without an error: what Weaver does with them goes through
-- these functions of the owner. They touch private tables of graphile-worker 0.18.0; a contract test guards the columns.

create table weaver.worker_pools (
  id text primary key,
  name text not null,
  advisory_key bigint not null unique,
  pid integer not null,
  host text not null,
  started_at timestamptz not null default clock_timestamp()
);
comment on table weaver.worker_pools is
  'Worker pools that hold, or held, their session advisory lock. Whoever can take another pool''s lock knows it is dead.';

create table weaver.job_dead_letters (
  id bigint primary key,
  task text not null,
  payload jsonb not null,
  run_id uuid,
  error text not null,
  attempts integer not null,
  failed_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.job_dead_letters is 'Jobs that failed for good, by the id they had in the queue.';
create index job_dead_letters_by_run on weaver.job_dead_letters (run_id) where run_id is not null;
create trigger touch_updated_at before update on weaver.job_dead_letters
  for each row execute function weaver.touch_updated_at();
grant insert, update, delete on weaver.job_dead_letters to weaver_walle;

-- jobs: [{task, payload, queue?, max_attempts?, priority?}], in the order in which they are to run.
create function weaver.enqueue(jobs jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  specs graphile_worker.job_spec[];
begin
  if exists (select from jsonb_array_elements(jobs) j where coalesce((j ->> 'max_attempts')::integer, 3) < 3) then
    raise exception using errcode = '22023', message = 'a job''s max_attempts must be at least 3',
      hint = 'An attempt is used up when the job is fetched: with one or two a crash alone would end it.';
  end if;
  -- Shared with remove_idle_queues(), which must not delete a queue that a job is about to join.
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  -- A microsecond apart: graphile-worker fetches by (priority, run_at), and jobs of one transaction would tie.
  select array_agg((
    j ->> 'task', coalesce(j -> 'payload', '{}')::json, j ->> 'queue', now() + (n - 1) * interval '1 microsecond',
    coalesce((j ->> 'max_attempts')::integer, 5), null, coalesce((j ->> 'priority')::integer, 0), null
  )::graphile_worker.job_spec order by n)
  into specs from jsonb_array_elements(jobs) with ordinality as list (j, n);
  if specs is not null then
    perform graphile_worker.add_jobs(specs);
  end if;
end $$;
comment on function weaver.enqueue(jsonb) is
  'Adds jobs, once per transaction. No job keys: a keyed add can add nothing under contention.';

-- The last statement of a job's business transaction: false means that the job is no longer this worker's.
create function weaver.finish_job(job_id bigint, worker text, attempt integer) returns boolean
language sql security definer set search_path = pg_catalog, pg_temp as $$
  with done as (
    delete from graphile_worker._private_jobs j
    where j.id = job_id and j.locked_by = worker and j.attempts = attempt returning j.job_queue_id
  ), freed as (
    update graphile_worker._private_job_queues q set locked_by = null, locked_at = null
    from done where q.id = done.job_queue_id and q.locked_by = worker
  )
  select count(*) = 1 from done;
$$;

-- Gives the job back to the queue without using up an attempt; false as in finish_job. It comes back under a new id,
-- because graphile-worker goes by the old one when it records that the handler has ended.
create function weaver.put_back_job(job_id bigint, worker text, attempt integer, delay interval) returns boolean
language sql security definer set search_path = pg_catalog, pg_temp as $$
  with taken as (
    delete from graphile_worker._private_jobs j
    where j.id = job_id and j.locked_by = worker and j.attempts = attempt returning j.*
  ), freed as (
    update graphile_worker._private_job_queues q set locked_by = null, locked_at = null
    from taken where q.id = taken.job_queue_id and q.locked_by = worker
  ), back as (
    insert into graphile_worker._private_jobs
      (job_queue_id, task_id, payload, priority, run_at, attempts, max_attempts, last_error, created_at, flags)
    select job_queue_id, task_id, payload, priority, now() + delay, attempts - 1, max_attempts, last_error, created_at, flags
    from taken returning 1
  )
  select count(*) = 1 from back;
$$;

-- Removes jobs that have no attempt left and gives them, so that they are recorded in the same transaction.
create function weaver.take_failed_jobs(at_most integer)
returns table (id bigint, task text, payload jsonb, error text, attempts integer)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  with failed as (
    select j.id from graphile_worker._private_jobs j
    where j.attempts >= j.max_attempts and j.locked_at is null
    order by j.id limit at_most for update skip locked
  ), taken as (
    delete from graphile_worker._private_jobs j using failed where j.id = failed.id
    returning j.id, j.task_id, j.payload, j.last_error, j.attempts
  )
  select taken.id, t.identifier, taken.payload::jsonb, coalesce(taken.last_error, 'the worker died at every attempt'),
    taken.attempts::integer
  from taken join graphile_worker._private_tasks t on t.id = taken.task_id order by taken.id;
$$;

create function weaver.unlock_jobs_of(workers text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  freed integer;
begin
  -- The attempt was used up when the job was fetched; its worker died, which is not the job's fault.
  update graphile_worker._private_jobs
    set locked_at = null, locked_by = null, attempts = greatest(attempts - 1, 0), updated_at = now()
    where locked_by = any (workers);
  get diagnostics freed = row_count;
  update graphile_worker._private_job_queues set locked_at = null, locked_by = null where locked_by = any (workers);
  return freed;
end $$;

-- Whose session holds it is alive.
create function weaver.pool_key(pool_id text) returns bigint language sql immutable as $$
  select hashtextextended('weaver:pool:' || pool_id, 0);
$$;

-- The caller's session holds the lock already.
create function weaver.register_pool(pool_id text, pool_name text, pool_pid integer, pool_host text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into weaver.worker_pools (id, name, advisory_key, pid, host)
  values (pool_id, pool_name, weaver.pool_key(pool_id), pool_pid, pool_host);
$$;

create function weaver.unregister_pool(pool_id text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform weaver.unlock_jobs_of(array[pool_id]);
  delete from weaver.worker_pools where id = pool_id;
end $$;

-- Frees the jobs of pools that are gone and gives how many those were. Locks of pools that nobody ever registered count
-- as gone after five seconds.
create function weaver.take_over_dead_pools() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  pool record;
  gone text[] := '{}';
  strangers text[];
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
  freed := weaver.unlock_jobs_of(gone);
  delete from weaver.worker_pools where id = any (gone);
  perform pg_notify('jobs:insert', '{"count":10}');
  return freed;
end $$;

-- A run has a queue of its own, and every fetch locks every idle queue: those without jobs must go.
create function weaver.remove_idle_queues() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  removed integer;
begin
  -- Only while no transaction is adding jobs; the delete is a statement of its own and sees all that they added.
  if not pg_try_advisory_xact_lock(hashtextextended('weaver:job_queues', 0)) then
    return 0;
  end if;
  delete from graphile_worker._private_job_queues q where q.id in (
    select idle.id from graphile_worker._private_job_queues idle
    where idle.locked_at is null
      and not exists (select from graphile_worker._private_jobs j where j.job_queue_id = idle.id)
    for update skip locked
  );
  get diagnostics removed = row_count;
  return removed;
end $$;

create view weaver.job_overview as
  select j.id, t.identifier as task, q.queue_name as queue,
    case
      when j.locked_at is not null then 'running'
      when j.attempts >= j.max_attempts then 'failed'
      when j.run_at <= now() then 'waiting'
      else 'scheduled'
    end as state,
    j.payload ->> 'run_id' as run_id, j.attempts::integer as attempts, j.max_attempts::integer as max_attempts,
    j.priority::integer as priority, now() - j.created_at as age, j.last_error, j.run_at, j.locked_at, j.locked_by,
    j.created_at, j.updated_at
  from graphile_worker._private_jobs j
    join graphile_worker._private_tasks t on t.id = j.task_id
    left join graphile_worker._private_job_queues q on q.id = j.job_queue_id
  union all
  select d.id, d.task, null, 'dead', d.run_id::text, d.attempts, d.attempts, 0, now() - d.created_at, d.error, null, null,
    null, d.created_at, d.updated_at
  from weaver.job_dead_letters d;
comment on view weaver.job_overview is
  'Every job there is: waiting, scheduled (later), running, failed (about to be recorded as dead) and dead.';

revoke execute on function weaver.enqueue(jsonb), weaver.finish_job(bigint, text, integer),
  weaver.put_back_job(bigint, text, integer, interval), weaver.take_failed_jobs(integer), weaver.unlock_jobs_of(text[]),
  weaver.register_pool(text, text, integer, text), weaver.unregister_pool(text), weaver.take_over_dead_pools(),
  weaver.remove_idle_queues() from public;
grant execute on function weaver.enqueue(jsonb), weaver.finish_job(bigint, text, integer),
  weaver.put_back_job(bigint, text, integer, interval), weaver.take_failed_jobs(integer),
  weaver.register_pool(text, text, integer, text), weaver.unregister_pool(text), weaver.take_over_dead_pools(),
  weaver.remove_idle_queues() to weaver_walle;
