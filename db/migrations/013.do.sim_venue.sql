-- The books of the built-in market simulator. It plays a venue, which is not a part of Weaver: these tables are written by
-- db/sim_venue.ts alone, in transactions of their own, and nothing of Weaver's refers to them.

create table weaver.sim_accounts (
  account text primary key,
  -- What the account was opened with; the market follows from its seed.
  settings jsonb not null,
  faults jsonb not null default '{}',
  cash numeric not null,
  -- The venue's clock: nobody who looks with an earlier one turns it back.
  clock_at timestamptz not null,
  next_order bigint not null default 1,
  next_execution bigint not null default 1,
  next_update bigint not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.sim_accounts is 'Accounts at the built-in market simulator; its book, not Weaver''s.';

create table weaver.sim_positions (
  account text not null references weaver.sim_accounts on delete cascade,
  symbol text not null,
  qty numeric not null,
  cost numeric not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (account, symbol)
);

create table weaver.sim_orders (
  account text not null references weaver.sim_accounts on delete cascade,
  exchange_order_id text not null,
  client_order_id text not null,
  symbol text not null,
  side text not null,
  order_type text not null,
  qty numeric not null,
  limit_price numeric,
  stop_price numeric,
  trail_price numeric,
  trail_percent numeric,
  time_in_force text not null,
  status text not null,
  filled_qty numeric not null default 0,
  filled_notional numeric not null default 0,
  reject_reason text,
  -- The last second of the market that it was tested on, whether its stop was hit, the best price that it trails.
  tested_to bigint not null,
  triggered boolean not null default false,
  best_price numeric,
  submitted_at timestamptz not null,
  changed_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (account, exchange_order_id),
  unique (account, client_order_id)
);
create index sim_orders_open on weaver.sim_orders (account) where status in ('accepted', 'partial');
create index sim_orders_changed on weaver.sim_orders (account, changed_at);

create table weaver.sim_executions (
  account text not null references weaver.sim_accounts on delete cascade,
  execution_id text not null,
  exchange_order_id text not null,
  symbol text not null,
  side text not null,
  qty numeric not null,
  price numeric not null,
  cum_qty numeric not null,
  fee numeric not null,
  fee_qty numeric not null,
  executed_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (account, execution_id)
);
create index sim_executions_at on weaver.sim_executions (account, executed_at);

-- What the stream tells, in its order; old ones are dropped.
create table weaver.sim_updates (
  account text not null references weaver.sim_accounts on delete cascade,
  number bigint not null,
  payload jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (account, number)
);

do $$
declare t text;
begin
  foreach t in array array['sim_accounts', 'sim_positions', 'sim_orders', 'sim_executions', 'sim_updates'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
