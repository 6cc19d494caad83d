-- How far the clock of whoever keeps an account is from its venue's: it makes the ticks.
create table weaver.venue_clocks (
  id uuid primary key default gen_random_uuid(),
  exchange text not null,
  mode text not null check (mode in ('paper', 'live')),
  skew_ms double precision not null,
  looked_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (exchange, mode)
);
comment on table weaver.venue_clocks is
  'skew_ms: by how much the keeper''s clock was ahead of the venue''s at least, below zero behind; 0: they may agree. looked_at: when, by the keeper''s clock.';

create trigger touch_updated_at before update on weaver.venue_clocks
  for each row execute function weaver.touch_updated_at();
grant insert, update, delete on weaver.venue_clocks to weaver_walle;
