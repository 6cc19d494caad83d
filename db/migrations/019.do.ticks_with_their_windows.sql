-- The strategy of a paper or live run hears of a tick with its windows. A tick that was to be heard of before them when
-- Weaver was stopped is let go, or it would be under way for ever: the clock goes on with the next one.

with gone as (
  delete from graphile_worker._private_jobs j using graphile_worker._private_tasks t
  where t.id = j.task_id and t.identifier = 'marvin.on_live_tick'
  returning (j.payload ->> 'run_id')::uuid as run_id
)
update weaver.runs r set open_corr_id = null from gone where r.id = gone.run_id;
