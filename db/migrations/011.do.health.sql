-- What metrics and readiness ask that Weaver's own roles may not see.

-- The transaction that keeps the most old row versions from being cleaned away, in any database of the cluster. The
-- seconds and the name are known only of sessions of the same user (or to a superuser).
create function weaver.oldest_transaction() returns table (transactions bigint, seconds float8, holder text)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select held.transactions, held.seconds, held.holder from (
    select greatest(age(a.backend_xid), age(a.backend_xmin))::bigint as transactions,
      extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
      format('%s (process %s, %s)', coalesce(nullif(a.application_name, ''), a.usename), a.pid, coalesce(a.state, 'state hidden')) as holder
    from pg_stat_activity a
    where a.pid <> pg_backend_pid() and a.backend_type <> 'autovacuum worker'
      and (a.backend_xid is not null or a.backend_xmin is not null)
    union all
    select age(p.transaction)::bigint, extract(epoch from clock_timestamp() - p.prepared)::float8,
      format('the prepared transaction %s', p.gid)
    from pg_prepared_xacts p
    union all
    select greatest(age(s.xmin), age(s.catalog_xmin))::bigint, null, format('the replication slot %s', s.slot_name)
    from pg_replication_slots s where s.xmin is not null or s.catalog_xmin is not null
  ) held
  order by held.transactions desc nulls last, held.seconds desc nulls last limit 1;
$$;
revoke execute on function weaver.oldest_transaction() from public;
grant execute on function weaver.oldest_transaction() to weaver_reader, weaver_walle;

-- Readiness compares it with the files that this Weaver has.
grant select on public.weaver_migrations to weaver_reader;

-- The attempts of the last minutes are found without reading the day's. BRIN: rows come in the order of their end.
create index job_runs_by_end on weaver.job_runs using brin (finished_at) with (pages_per_range = 32, autosummarize = on);

-- Worker processes have no port of their own to be asked at: they write down how they are, and any API process tells it.
create table weaver.process_samples (
  host text not null,
  pid integer not null,
  started_at timestamptz not null,
  rss_bytes bigint not null,
  cpu_seconds float8 not null,
  event_loop_lag_seconds float8 not null,
  hosts_open integer not null,
  hosts_busy integer not null,
  hosts_started bigint not null,
  hosts_lost bigint not null,
  sampled_at timestamptz not null default clock_timestamp(),
  primary key (host, pid)
);
comment on table weaver.process_samples is
  'How each worker process was at sampled_at: its memory, processor time, the 99th percentile of its event loop''s lag, its strategy processes.';
grant insert, update, delete on weaver.process_samples to weaver_walle;
