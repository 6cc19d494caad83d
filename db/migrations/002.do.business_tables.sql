-- The tables that WallE alone writes. Amounts are exact decimals (numeric); times are UTC.

create function weaver.touch_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end $$;

create table weaver.strategy_sources (
  id uuid primary key default gen_random_uuid(),
  hash text not null unique,
  strategy_id text not null,
  version text not null,
  entry text not null,
  files jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.strategy_sources is
  'The source that a run executes: entry file and every file of strategies/ that it imports, {path: text}, keyed by their hash.';

create table weaver.runs (
  id uuid primary key,
  strategy_id text not null,
  strategy_version text not null,
  strategy_hash text not null references weaver.strategy_sources (hash),
  mode text not null check (mode in ('backtest', 'paper', 'live')),
  exchange text,
  status text not null check (status in ('pending', 'running', 'stopped', 'completed', 'error')),
  symbols text[] not null check (cardinality(symbols) > 0),
  timeframe text not null,
  start_time timestamptz,
  end_time timestamptz,
  config jsonb not null,
  initial_cash numeric not null,
  fill jsonb not null,
  risk jsonb not null default '{}',
  audit text not null check (audit in ('summary', 'acted', 'full')),
  driver text not null check (driver in ('chunk', 'chain')),
  seed bigint not null,
  missed_ticks text not null default 'skip' check (missed_ticks in ('skip', 'catch_up')),
  bar_wait_ms integer,
  label text,
  weaver_version text not null,
  dataset_fingerprint text,
  window_bars integer not null,
  progress double precision not null default 0,
  ticks_total bigint,
  next_tick bigint not null default 0,
  open_corr_id uuid,
  last_event_id uuid,
  stop_requested jsonb,
  halted jsonb,
  stats jsonb,
  result_hash text,
  error jsonb,
  cautions jsonb not null default '[]',
  started_at timestamptz,
  stopped_at timestamptz,
  archived_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index runs_by_creation on weaver.runs (created_at desc, id);
create index runs_running on weaver.runs (status) where status in ('pending', 'running');

create table weaver.run_checkpoints (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null unique references weaver.runs on delete cascade,
  next_tick bigint not null,
  -- json, not jsonb: a strategy may notice the order of the keys of its state.
  state json not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.run_checkpoints is
  'Where a run goes on after a stop or a kill: strategy state, ledger, open orders, random state.';

-- orders, fills, trades and decisions come by the ten thousand, and a foreign key to runs would be checked row by row.
-- WallE alone writes them, under the run's lock, and removes them with their run.
create table weaver.orders (
  id uuid primary key,
  run_id uuid not null,
  ordinal bigint not null,
  client_order_id text not null unique,
  exchange_order_id text,
  parent_order_id uuid,
  symbol text not null,
  side text not null check (side in ('buy', 'sell')),
  order_type text not null,
  qty numeric not null,
  price numeric,
  stop_price numeric,
  trail_price numeric,
  trail_percent numeric,
  take_profit numeric,
  stop_loss numeric,
  time_in_force text not null,
  extended_hours boolean not null default false,
  status text not null check (status in
    ('pending', 'submitted', 'accepted', 'partial', 'filled', 'cancelled', 'rejected', 'expired')),
  filled_qty numeric not null default 0,
  filled_avg_price numeric,
  fees numeric not null default 0,
  reason text,
  reject_reason text,
  reject_rule text,
  bar_index bigint,
  placed_at timestamptz not null,
  submitted_at timestamptz,
  filled_at timestamptz,
  closed_at timestamptz,
  corr_id uuid not null,
  last_event_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, ordinal)
);
create index orders_by_creation on weaver.orders (created_at desc, id);
create index orders_open on weaver.orders (run_id) where status in ('pending', 'submitted', 'accepted', 'partial');
comment on column weaver.orders.price is 'The limit price.';
comment on column weaver.orders.placed_at is 'The tick at which the order was decided.';

create table weaver.fills (
  id uuid primary key,
  run_id uuid not null,
  order_id uuid not null,
  ordinal bigint not null,
  symbol text not null,
  side text not null check (side in ('buy', 'sell')),
  qty numeric not null check (qty > 0),
  price numeric not null,
  fee numeric not null default 0,
  slippage numeric not null default 0,
  "timestamp" timestamptz not null,
  known_at timestamptz not null,
  ambiguous boolean not null default false,
  execution_id text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, ordinal)
);
create index fills_by_order on weaver.fills (order_id);
comment on column weaver.fills."timestamp" is 'Open time of the bar in which the fill happened; live: the venue''s time.';
comment on column weaver.fills.ambiguous is 'Stop loss and take profit both lay inside the bar; the stop loss was taken.';

create table weaver.trades (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null,
  ordinal bigint not null,
  symbol text not null,
  side text not null check (side in ('long', 'short')),
  qty numeric not null,
  entry_order_id uuid not null,
  exit_order_id uuid not null,
  entry_time timestamptz not null,
  exit_time timestamptz not null,
  entry_price numeric not null,
  exit_price numeric not null,
  fees numeric not null,
  pnl numeric not null,
  return double precision,
  mae double precision,
  mfe double precision,
  bars integer not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, ordinal)
);
comment on table weaver.trades is 'Round trips: one entry order matched first in, first out with one exit order; pnl is net of fees.';

create table weaver.decisions (
  id uuid primary key,
  run_id uuid not null,
  bar_index bigint not null,
  ts timestamptz not null,
  corr_id uuid not null,
  intents jsonb not null default '[]',
  skips jsonb not null default '[]',
  logs jsonb not null default '[]',
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, bar_index)
);
comment on table weaver.decisions is 'What a strategy decided at a tick: its intents, why it did nothing, what it logged.';

create table weaver.positions (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null references weaver.runs on delete cascade,
  symbol text not null,
  qty numeric not null,
  avg_price numeric not null,
  realised_pnl numeric not null,
  last_price double precision,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, symbol)
);

create table weaver.accounts (
  id uuid primary key default gen_random_uuid(),
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  account_number text,
  currency text not null,
  cash numeric not null,
  equity numeric not null,
  buying_power numeric not null,
  reconciled_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (exchange, mode)
);

create table weaver.backtest_results (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null unique references weaver.runs on delete cascade,
  stats jsonb not null,
  result_hash text not null,
  final_equity numeric not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);

create table weaver.equity_blocks (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null references weaver.runs on delete cascade,
  first_tick bigint not null,
  points integer not null,
  ts bytea not null,
  equity bytea not null,
  exposure bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, first_tick)
);
comment on table weaver.equity_blocks is
  'The equity curve in columns: little-endian float64 arrays of tick times (epoch ms), equity and exposure (gross position value / equity).';

create table weaver.candles (
  id bigint generated always as identity primary key,
  symbol text not null,
  timeframe text not null,
  "timestamp" timestamptz not null,
  open numeric not null,
  high numeric not null,
  low numeric not null,
  close numeric not null,
  volume numeric not null,
  trade_count bigint,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (symbol, timeframe, "timestamp")
);

create table weaver.candle_blocks (
  id uuid primary key default gen_random_uuid(),
  symbol text not null,
  timeframe text not null,
  month date not null,
  bars integer not null,
  "time" bytea not null,
  open bytea not null,
  high bytea not null,
  low bytea not null,
  close bytea not null,
  volume bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (symbol, timeframe, month)
);
comment on table weaver.candle_blocks is
  'Projection of candles that engines and charts read: one row per symbol, timeframe and UTC month, columns as little-endian float64 arrays (time = open time, epoch ms). Kept in the same transaction as the rows.';
-- Uncompressed: float64 columns hardly shrink, and a read or a write of them takes a third of the time.
alter table weaver.candle_blocks
  alter column "time" set storage external, alter column open set storage external,
  alter column high set storage external, alter column low set storage external,
  alter column close set storage external, alter column volume set storage external;
alter table weaver.equity_blocks
  alter column ts set storage external, alter column equity set storage external,
  alter column exposure set storage external;

create table weaver.batches (
  id uuid primary key,
  strategy_id text not null,
  status text not null check (status in ('running', 'completed', 'cancelled')),
  request jsonb not null,
  total integer not null,
  done integer not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);

create table weaver.schedules (
  id uuid primary key,
  cron text not null,
  time_zone text not null,
  enabled boolean not null default true,
  batch jsonb not null,
  next_at timestamptz,
  last_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);

do $$
declare t text;
begin
  for t in select tablename from pg_tables where schemaname = 'weaver' loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
