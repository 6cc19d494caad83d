-- Bars of venues: how far they are known, how long ticks waited for them, and history that is being fetched.

create table weaver.bar_coverage (
  id uuid primary key default gen_random_uuid(),
  symbol text not null,
  timeframe text not null,
  first timestamptz not null,
  last timestamptz not null,
  asked_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (symbol, timeframe),
  check (first <= last)
);
comment on table weaver.bar_coverage is
  'Open times between which every bar that the venue of the data set''s feed has is stored: no bar there means nothing traded. asked_at: since when its adjustment holds.';

create table weaver.window_waits (
  id bigint generated always as identity primary key,
  run_id uuid not null references weaver.runs on delete cascade,
  bar_index bigint not null,
  ts timestamptz not null,
  in_hand_ms double precision not null,
  missing jsonb not null,
  late integer not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, bar_index)
);
create index window_waits_by_time on weaver.window_waits (created_at);
comment on table weaver.window_waits is
  'Per tick of a paper or live run: milliseconds from the boundary until its windows were there, the series whose newest bar did not come in time, and how many such bars of older ticks have come since.';

create table weaver.candle_fetches (
  id uuid primary key,
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  symbol text not null,
  timeframe text not null,
  start_time timestamptz not null,
  end_time timestamptz not null,
  next_time timestamptz not null,
  adjustment text not null,
  feed text,
  status text not null check (status in ('running', 'completed', 'cancelled', 'error')),
  stored bigint not null default 0,
  revised bigint not null default 0,
  unchanged bigint not null default 0,
  error text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index candle_fetches_by_time on weaver.candle_fetches (created_at);
comment on table weaver.candle_fetches is
  'History of an exchange, fetched page by page: what opens before next_time is stored. While running, error tells why it waits.';

-- After a refusal: `wait_ms` from now on there is one token again.
create function weaver.empty_bucket(bucket text, per_second double precision, wait_ms double precision)
returns void language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into weaver.rate_buckets as b (id, tokens) values (bucket, 1 - wait_ms / 1000 * per_second)
  on conflict (id) do update
    set tokens = least(excluded.tokens,
          b.tokens + greatest(0, extract(epoch from clock_timestamp() - b.updated_at)) * per_second),
      updated_at = clock_timestamp();
$$;
revoke execute on function weaver.empty_bucket(text, double precision, double precision) from public;
grant execute on function weaver.empty_bucket(text, double precision, double precision) to weaver_walle;

do $$
declare t text;
begin
  foreach t in array array['bar_coverage', 'window_waits', 'candle_fetches'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
