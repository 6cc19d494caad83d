-- What the market says between ticks: the newest price of what running paper and live runs trade.

create table weaver.market_marks (
  id uuid primary key default gen_random_uuid(),
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  symbol text not null,
  price numeric not null check (price > 0),
  source text not null check (source in ('bar', 'quote', 'trade')),
  marked_at timestamptz not null,
  bar_time timestamptz,
  dropped bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (exchange, mode, symbol)
) with (fillfactor = 50);
comment on table weaver.market_marks is
  'The newest price that a venue''s stream told of a symbol, and when it was so there (marked_at, which never goes back). bar_time: open time of the newest bar that market.Bar told of. dropped: market events left out because the log was behind.';

create trigger touch_updated_at before update on weaver.market_marks
  for each row execute function weaver.touch_updated_at();
grant insert, update, delete on weaver.market_marks to weaver_walle;
