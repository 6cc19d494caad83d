-- Of some tasks only so many jobs of one account are at work at a time in a process (db/events/tasks.ts, mostOfAccount). A job of
-- such a task carries a flag that names its account, so that workers pass over it while the places are taken.
create or replace function weaver.enqueue(jobs jsonb) returns bigint[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  specs graphile_worker.job_spec[];
  ids bigint[];
  added_at constant timestamptz := clock_timestamp();
begin
  if exists (select from jsonb_array_elements(jobs) j where coalesce((j ->> 'max_attempts')::integer, 3) < 3) then
    raise exception using errcode = '22023', message = 'a job''s max_attempts must be at least 3',
      hint = 'An attempt is used up when the job is fetched: with one or two a crash alone would end it.';
  end if;
  -- Shared with remove_idle_queues(), which must not delete a queue that a job is about to join, and with pauses, which
  -- must not miss one.
  perform pg_advisory_xact_lock_shared(hashtextextended('weaver:job_queues', 0));
  -- A microsecond apart: graphile-worker fetches by (priority, run_at), and jobs added together would tie.
  select array_agg((
    j ->> 'task', coalesce(j -> 'payload', '{}')::json, j ->> 'queue',
    weaver.due_at(added_at + (n - 1) * interval '1 microsecond', j ->> 'queue', j ->> 'task'),
    coalesce((j ->> 'max_attempts')::integer, 5), null, coalesce((j ->> 'priority')::integer, 0),
    case when (j ->> 'by_account')::boolean then (
      select array[concat_ws(' ', j ->> 'task', r.exchange, r.mode)]
      from weaver.runs r where r.id = (j -> 'payload' ->> 'run_id')::uuid
    ) end
  )::graphile_worker.job_spec order by n)
  into specs from jsonb_array_elements(jobs) with ordinality as list (j, n);
  if specs is not null then
    select array_agg(added.id) into ids from graphile_worker.add_jobs(specs) added;
  end if;
  return coalesce(ids, '{}');
end $$;
