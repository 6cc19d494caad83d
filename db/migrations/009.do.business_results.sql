-- What a run leaves beside its orders: why it did nothing, how often its strategy was tried, how far its result
-- depends on the fill model's assumptions.

create table weaver.skips (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null,
  ordinal integer not null,
  kind text not null check (kind in ('skipped', 'risk', 'rejected')),
  rule text,
  reason text not null,
  first_tick bigint not null,
  last_tick bigint not null check (last_tick >= first_tick),
  first_ts timestamptz not null,
  last_ts timestamptz not null,
  ticks bigint not null check (ticks between 1 and last_tick - first_tick + 1),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, ordinal)
);
comment on table weaver.skips is
  'Why nothing was done, as ranges of ticks: what the strategy gave to skip(), risk rules that refused, orders that the simulated venue rejected.';
comment on column weaver.skips.ticks is
  'How many ticks of the range had this reason. Fewer than the range is long: the reason came and went too often for a range each.';

-- Decisions kept as rows, and why the other ticks did nothing, as one list.
create view weaver.decision_timeline as
  select run_id, bar_index, 0 as place, case when intents = '[]' then 'noted' else 'acted' end as kind, id, ts, corr_id,
    intents, skips, logs, bar_index as last_bar_index, ts as last_ts, 1::bigint as ticks, null::text as rule
  from weaver.decisions
  union all
  select run_id, first_tick, 1 + ordinal, kind, null, first_ts, null, '[]', jsonb_build_array(reason), '[]', last_tick,
    last_ts, ticks, rule
  from weaver.skips;

create table weaver.trials (
  id uuid primary key default gen_random_uuid(),
  strategy_id text not null,
  variant text not null,
  symbols text[] not null,
  timeframe text not null,
  first_tick_at timestamptz not null,
  last_tick_at timestamptz not null,
  run_id uuid not null,
  sharpe double precision,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (variant, first_tick_at, last_tick_at)
);
create index trials_by_strategy on weaver.trials (strategy_id, last_tick_at);
comment on table weaver.trials is
  'Every backtest ever completed, by what was tried (variant) and over which ticks. Outlives its run: who deletes a failed attempt has still made it.';
comment on column weaver.trials.variant is 'SHA-256 of all that decides a result but the range of the data: weaver.trial_variant.';
comment on column weaver.trials.sharpe is 'Of daily returns, not annualised; null when undefined.';
comment on column weaver.trials.run_id is 'The newest run of this trial; it may have been deleted.';

-- jsonb's text has one form for equal values, so equal inputs have equal variants.
create function weaver.trial_variant(run weaver.runs) returns text language sql stable as $$
  select encode(sha256(convert_to(jsonb_build_array(run.strategy_id, run.strategy_hash, run.symbols, run.timeframe,
    run.config, trim_scale(run.initial_cash), run.fill, run.risk, run.seed)::text, 'UTF8')), 'hex')
$$;
grant execute on function weaver.trial_variant(weaver.runs) to weaver_walle, weaver_reader;

-- Trials made before there was a ledger.
insert into weaver.trials (strategy_id, variant, symbols, timeframe, first_tick_at, last_tick_at, run_id, sharpe)
  select distinct on (weaver.trial_variant(r), r.start_time, r.end_time)
    r.strategy_id, weaver.trial_variant(r), r.symbols, r.timeframe, r.start_time, r.end_time, r.id,
    (r.stats ->> 'sharpe_ratio')::float8 / sqrt(split_part(r.stats ->> 'convention', '/', 3)::float8)
  from weaver.runs r
  where r.mode = 'backtest' and r.status = 'completed' and r.start_time is not null and r.end_time is not null
  order by weaver.trial_variant(r), r.start_time, r.end_time, r.stopped_at desc;

create table weaver.bands (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null unique references weaver.runs on delete cascade,
  status text not null check (status in ('running', 'completed', 'error')),
  progress double precision not null default 0,
  result jsonb,
  error text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.bands is
  'The assumption band of a run: the same backtest under other rules of filling, and the range of the results.';

do $$
declare t text;
begin
  foreach t in array array['skips', 'trials', 'bands'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
