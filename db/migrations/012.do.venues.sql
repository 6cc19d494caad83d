-- Paper and live trading: accounts at venues, what was sent to them, ledgers of runs, ticks of the wall clock, halts.

alter table weaver.accounts
  add column state text not null default 'unknown' check (state in ('unknown', 'ready', 'refused')),
  add column state_reason text,
  add column blocked text,
  add column keeper text,
  add column stream text check (stream in ('up', 'down', 'none')),
  add column reconcile_requested_at timestamptz,
  add column checked_at timestamptz;
comment on column weaver.accounts.state is
  'ready: its keeper knows the venue''s orders and hears of changes; only then does an order leave. unknown: being found out. refused: the venue refuses the credentials.';

create table weaver.account_positions (
  id uuid primary key default gen_random_uuid(),
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  symbol text not null,
  venue_qty numeric not null,
  runs_qty numeric not null,
  unattributed_qty numeric not null default 0,
  paused_reason text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (exchange, mode, symbol)
);
comment on table weaver.account_positions is
  'The venue''s position, and whose it is: runs_qty + unattributed_qty = venue_qty, or the symbol is paused with the reason.';

create table weaver.run_ledgers (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null unique references weaver.runs on delete cascade,
  cash numeric not null,
  fees numeric not null default 0,
  turnover numeric not null default 0,
  next_order bigint not null default 0,
  next_fill bigint not null default 0,
  trade_matcher jsonb,
  risk_watch jsonb,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.run_ledgers is 'Cash of a paper or live run, beside its positions; changes with each fill, under the run''s lock.';
alter table weaver.positions add column cost numeric;
comment on column weaver.positions.cost is 'What the open quantity cost, exact.';

create table weaver.order_sends (
  order_id uuid primary key,
  run_id uuid not null references weaver.runs on delete cascade,
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  state text not null check (state in ('to_send', 'sent', 'unclear', 'answered')),
  attempts integer not null default 0,
  lookups integer not null default 0,
  last_sent_at timestamptz,
  last_error text,
  cancel_requested_at timestamptz,
  cancel_attempts integer not null default 0,
  cancel_reason text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index order_sends_open on weaver.order_sends (exchange, mode) where state <> 'answered';
comment on table weaver.order_sends is
  'How an order''s way to its venue stands. sent is committed before the call: whoever finds it there does not know the answer and asks the venue first.';

create view weaver.order_jobs as
  select (j.payload ->> 'order_id')::uuid as order_id, t.identifier as task
  from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id
  where t.identifier in ('veda.submit_order', 'veda.send_cancel');
comment on view weaver.order_jobs is 'Orders that a job takes care of, now or later.';

create table weaver.venue_updates (
  id bigint generated always as identity primary key,
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  source text not null check (source in ('answer', 'stream', 'poll', 'reconcile')),
  client_order_id text,
  execution_id text,
  payload jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index venue_updates_by_order on weaver.venue_updates (client_order_id);
create index venue_updates_by_execution on weaver.venue_updates (exchange, mode, execution_id) where execution_id is not null;
create index venue_updates_by_account on weaver.venue_updates (exchange, mode, id);
create index venue_updates_by_time on weaver.venue_updates (created_at);
comment on table weaver.venue_updates is 'What venues said of orders, as it was received.';
create unique index fills_by_execution on weaver.fills (order_id, execution_id) where execution_id is not null;

create table weaver.clock_ticks (
  id bigint generated always as identity primary key,
  run_id uuid not null references weaver.runs on delete cascade,
  bar_index bigint not null,
  ts timestamptz not null,
  event_id uuid,
  missed_reason text,
  drift_ms double precision,
  done_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (run_id, ts),
  unique (run_id, bar_index)
);
create index clock_ticks_by_time on weaver.clock_ticks (created_at);
comment on table weaver.clock_ticks is
  'Every due tick of a paper or live run: emitted (event_id, drift_ms) or missed (missed_reason). Unique: two clocks cannot double one.';

create table weaver.halts (
  id uuid primary key,
  run_id uuid references weaver.runs on delete cascade,
  rule text not null,
  reason text,
  halted_at timestamptz not null,
  halted_by text not null,
  resumed_at timestamptz,
  resumed_by text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create unique index halts_active on weaver.halts (coalesce(run_id, '00000000-0000-0000-0000-000000000000')) where resumed_at is null;
comment on table weaver.halts is 'run_id null: the whole system. Without resumed_at it holds.';

-- What a strategy asked for when it heard of an order between two ticks is a further part of the tick's decision.
alter table weaver.decisions add column part integer not null default 0;
alter table weaver.decisions drop constraint decisions_run_id_bar_index_key;
alter table weaver.decisions add unique (run_id, bar_index, part);
create or replace view weaver.decision_timeline as
  select run_id, bar_index, part as place, case when intents = '[]' then 'noted' else 'acted' end as kind, id, ts, corr_id,
    intents, skips, logs, bar_index as last_bar_index, ts as last_ts, 1::bigint as ticks, null::text as rule
  from weaver.decisions
  union all
  -- A tick's parts come before why it did nothing.
  select run_id, first_tick, 1000000 + ordinal, kind, null, first_ts, null, '[]', jsonb_build_array(reason), '[]', last_tick,
    last_ts, ticks, rule
  from weaver.skips;

create table weaver.rate_buckets (
  id text primary key,
  tokens double precision not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
-- Takes one token if there is one above the reserve, and gives 0; else gives the milliseconds until there is.
create function weaver.take_token(bucket text, capacity double precision, per_second double precision, reserve double precision)
returns double precision language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  had double precision;
  moment timestamptz;
begin
  insert into weaver.rate_buckets (id, tokens) values (bucket, capacity) on conflict do nothing;
  select b.tokens, b.updated_at into had, moment from weaver.rate_buckets b where b.id = bucket for update;
  had := least(capacity, had + greatest(0, extract(epoch from clock_timestamp() - moment)) * per_second);
  if had >= 1 + reserve then
    update weaver.rate_buckets set tokens = had - 1, updated_at = clock_timestamp() where id = bucket;
    return 0;
  end if;
  return ceil((1 + reserve - had) / per_second * 1000);
end $$;
revoke execute on function weaver.take_token(text, double precision, double precision, double precision) from public;
grant execute on function weaver.take_token(text, double precision, double precision, double precision) to weaver_walle;

do $$
declare t text;
begin
  foreach t in array array['account_positions', 'run_ledgers', 'order_sends', 'venue_updates', 'clock_ticks', 'halts'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
