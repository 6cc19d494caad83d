-- What is known of a set of candles beside its bars, which of them a run saw, and which runs saw bars that changed since.

create table weaver.datasets (
  id uuid primary key default gen_random_uuid(),
  symbol text not null,
  timeframe text not null,
  adjustment text not null check (adjustment in ('raw', 'split', 'all', 'unknown')),
  feed text not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (symbol, timeframe)
);
comment on table weaver.datasets is
  'A set of candles: one symbol in one timeframe. All of its bars have one adjustment and one feed.';
comment on column weaver.datasets.adjustment is
  'For which corporate actions prices were changed afterwards: raw = none, split = splits, all = splits and dividends.';
comment on column weaver.datasets.feed is 'Where the bars come from: iex, sip, import, ...';

insert into weaver.datasets (symbol, timeframe, adjustment, feed)
  select distinct symbol, timeframe, case when strpos(symbol, '/') > 0 then 'raw' else 'unknown' end, 'import'
  from weaver.candle_blocks;

create table weaver.run_datasets (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null references weaver.runs on delete cascade,
  symbol text not null,
  timeframe text not null,
  fetched boolean not null,
  source_timeframe text not null,
  first timestamptz not null,
  last timestamptz not null,
  bars bigint not null,
  adjustment text not null,
  feed text not null,
  fingerprint text not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, symbol, timeframe, fetched)
);
create index run_datasets_by_source on weaver.run_datasets (symbol, source_timeframe, last);
comment on table weaver.run_datasets is
  'The bars that a run could see, warm-up and what its strategy fetched included. Written when the run first reads them.';
comment on column weaver.run_datasets.fetched is
  'Asked for by the strategy with ctx.fetch; false: the bars of the run itself.';
comment on column weaver.run_datasets.source_timeframe is 'Of the stored candles; finer than timeframe where bars were resampled.';
comment on column weaver.run_datasets.first is 'Open times of the first and the last stored candle that was read.';
comment on column weaver.run_datasets.bars is 'Bars as the run saw them.';
comment on column weaver.run_datasets.fingerprint is 'SHA-256 over the bars as the run saw them.';

create table weaver.run_invalidations (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null references weaver.runs on delete cascade,
  event_id uuid not null,
  symbol text not null,
  timeframe text not null,
  first timestamptz not null,
  last timestamptz not null,
  revised bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, event_id)
);
comment on table weaver.run_invalidations is
  'Revisions of candles in the range of bars that a run had seen: its result is of data that is no longer stored.';
comment on column weaver.run_invalidations.event_id is 'The data.CandlesRevised that told of it.';
comment on column weaver.run_invalidations.first is 'Open times of the first and the last revised candle.';

do $$
declare t text;
begin
  foreach t in array array['datasets', 'run_datasets', 'run_invalidations'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
