-- What a market order of a paper or live run is measured against: its fills cost more or less than what was seen last.
alter table weaver.order_sends add column decided_close numeric;
comment on column weaver.order_sends.decided_close is
  'The newest close of the symbol that the run had seen when the order was placed: what the slippage of a market order is measured against. Null: it had seen none, or the order is an exit.';

-- Records that an attempt failed because the database was away: no doing of the job's, which may be tried once more than it
-- might before. Attempts go on counting, so that no lease comes twice. False as in fail_job.
create function weaver.excuse_job(
  job_id bigint, worker text, attempt integer, error text, delay interval, most_attempts integer
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not weaver.fail_job(job_id, worker, attempt, 'failed', error, delay) then
    return false;
  end if;
  update graphile_worker._private_jobs j set max_attempts = j.max_attempts + 1
    where j.id = job_id and j.max_attempts < most_attempts;
  return true;
end $$;
revoke execute on function weaver.excuse_job(bigint, text, integer, text, interval, integer) from public;
grant execute on function weaver.excuse_job(bigint, text, integer, text, interval, integer) to weaver_walle;
