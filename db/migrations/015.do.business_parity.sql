-- What it takes to play a paper or live run again as it was, and what came of doing so.

create table weaver.hops (
  id bigint generated always as identity primary key,
  run_id uuid not null references weaver.runs on delete cascade,
  event_id uuid not null,
  bar_index bigint not null,
  phase text not null check (phase in ('tick', 'window', 'tick_window', 'order')),
  seen bigint not null,
  memory_hash text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index hops_by_run on weaver.hops (run_id, id);
comment on table weaver.hops is
  'Each time that the strategy of a paper or live run was spoken to, in that order: at which event, and with the account as it was after the event outbox.id = seen. memory_hash: SHA-256 of its memory afterwards; null: windows came that it had not to be asked about.';

create table weaver.parity_reports (
  id uuid primary key default gen_random_uuid(),
  run_id uuid not null unique references weaver.runs on delete cascade,
  state text not null check (state in ('pending', 'completed', 'error')),
  progress double precision not null default 0,
  tolerance_bps double precision not null,
  result jsonb,
  error text,
  replayed_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.parity_reports is
  'The newest replay of a paper or live run: whether it did what its strategy and the backtest path do on the same recorded inputs, and every difference.';

do $$
declare t text;
begin
  foreach t in array array['hops', 'parity_reports'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
