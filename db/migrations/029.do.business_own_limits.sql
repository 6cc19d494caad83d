-- Risk limits: what holds for a run is the stricter of its own limits and the installation's.
alter table weaver.runs add column own_risk jsonb not null default '{}';
comment on column weaver.runs.own_risk is 'The risk limits that the run was asked to have.';
comment on column weaver.runs.risk is
  'The risk limits that hold for it: of each the stricter of its own and that of the installation, when it was started or last looked at.';
-- Of runs made before, nobody knows any more whose their limits were: they are their own. Nothing happened to the runs.
alter table weaver.runs disable trigger touch_updated_at;
update weaver.runs set own_risk = risk;
alter table weaver.runs enable trigger touch_updated_at;

-- Gives the job back to the queue; false as in finish_job. It comes back under a new id, because graphile-worker goes by the old
-- one when it records that the handler has ended without an error. A handler that gets so far has used up no attempt, and gets
-- those back that failed before: a job that looks again and again for months outlives a time-out now and then.
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
    0, job.max_attempts, job.last_error, job.created_at, job.flags);
  return true;
end $$;
