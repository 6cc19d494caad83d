-- The log. Rows are only ever added: outbox in the transaction that they tell of, outbox_seq by the sequencer.
-- Whoever wants less history drops partitions.

create table weaver.outbox (
  id bigint generated always as identity,
  event_id uuid not null,
  type text not null,
  run_id uuid,
  corr_id uuid not null,
  causation_id uuid,
  txid xid8 not null default pg_current_xact_id(),
  payload jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (created_at, id)
) partition by range (created_at);
comment on table weaver.outbox is
  'Events, in the transaction of the business write that they tell of; payload is the whole envelope. Partitioned by UTC day.';
comment on column weaver.outbox.txid is
  'The top-level transaction (the system column xmin would be a savepoint''s): the sequencer''s window goes by it.';
create index outbox_by_txid on weaver.outbox (txid, id);
create index outbox_by_event on weaver.outbox (event_id);
create index outbox_by_run on weaver.outbox (run_id, id) where run_id is not null;

create table weaver.outbox_seq (
  seq bigint primary key,
  outbox_id bigint not null unique,
  created_at timestamptz not null,
  type text not null,
  run_id uuid
);
create index outbox_seq_by_run on weaver.outbox_seq (run_id, seq) where run_id is not null;
comment on table weaver.outbox_seq is
  'The gapless position of each committed event, from 0. created_at is the outbox row''s: with outbox_id its primary key; type and run_id are copies to filter by.';

create function weaver.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception using errcode = '42501',
    message = format('%s on %I.%I is refused: the log is only ever added to', tg_op, tg_table_schema, tg_table_name),
    hint = 'Append a new event that corrects the old one; to shorten the history drop old partitions of weaver.outbox.';
end $$;

-- Statement triggers are not inherited, and a partition can be named in a statement of its own.
create function weaver.protect_log_table(log_table regclass) returns void language plpgsql as $$
begin
  execute format(
    'create trigger refuse_change before update or delete or truncate on %s for each statement execute function weaver.refuse_change()',
    log_table);
end $$;
select weaver.protect_log_table('weaver.outbox');
select weaver.protect_log_table('weaver.outbox_seq');

-- Takes what no partition was made for, so that an append never fails for want of one.
create table weaver.outbox_default partition of weaver.outbox default;
select weaver.protect_log_table('weaver.outbox_default');

create function weaver.premake_outbox_partitions(days integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  first_day date := (clock_timestamp() at time zone 'UTC')::date;
  day date;
  partition text;
  made integer := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('weaver:outbox_partitions', 0));
  for n in 0..days loop
    day := first_day + n;
    partition := 'outbox_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass('weaver.' || partition) is not null;
    begin
      execute format('create table weaver.%I partition of weaver.outbox for values from (%L) to (%L)',
        partition, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
      execute format('select weaver.protect_log_table(%L)', 'weaver.' || partition);
      made := made + 1;
    exception when check_violation then
      -- The default partition already holds rows of that day; they stay there, and so do the day's later ones.
      null;
    end;
  end loop;
  return made;
end $$;
select weaver.premake_outbox_partitions(7);

create table weaver.sequencer (
  id boolean primary key default true check (id),
  snapshot pg_snapshot not null,
  next_seq bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.sequencer is
  'One row. Events of transactions that are visible in the snapshot have their seq; the others are still to be numbered.';
insert into weaver.sequencer (snapshot) values (pg_current_snapshot());

-- Numbers what was committed since the last call and gives how many events that was. Going by id or by a horizon of
-- transaction ids would lose events or stall behind any open transaction; the window between two snapshots does neither.
-- The planner takes a third of the log for the window, which is next to nothing: it must not read all of it.
create function weaver.sequence_outbox() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  previous pg_snapshot;
  first_seq bigint;
  numbered bigint;
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise exception using errcode = '25001',
      message = 'sequence_outbox() must be called before anything is written in its transaction',
      hint = 'Call it in a transaction of its own: its own events would be numbered twice or never.';
  end if;
  select s.snapshot into strict previous from weaver.sequencer s;
  -- An idle system must not use up a transaction id per poll.
  perform from weaver.outbox o
    where o.txid >= pg_snapshot_xmin(previous) and not pg_visible_in_snapshot(o.txid, previous) limit 1;
  if not found then
    return 0;
  end if;
  -- First the lock, and only in the next statement the window: its snapshot must be newer than the lock.
  select s.snapshot, s.next_seq into strict previous, first_seq from weaver.sequencer s for update;
  with win as materialized (
    select o.id, o.created_at, o.type, o.run_id, row_number() over (order by o.id) - 1 as n
    from weaver.outbox o
    where o.txid >= pg_snapshot_xmin(previous) and not pg_visible_in_snapshot(o.txid, previous)
  ), added as (
    insert into weaver.outbox_seq (seq, outbox_id, created_at, type, run_id)
    select first_seq + win.n, win.id, win.created_at, win.type, win.run_id from win order by win.n
  )
  update weaver.sequencer s
  set snapshot = pg_current_snapshot(), next_seq = s.next_seq + (select count(*) from win), updated_at = clock_timestamp()
  returning s.next_seq - first_seq into numbered;
  return numbered;
end $$;

create table weaver.consumer_offsets (
  consumer_id text primary key,
  last_offset bigint not null default -1,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on column weaver.consumer_offsets.last_offset is 'The last seq that the consumer is done with.';
create trigger touch_updated_at before update on weaver.consumer_offsets
  for each row execute function weaver.touch_updated_at();

create table weaver.event_claims (
  consumer text not null,
  event_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (consumer, event_id)
);
comment on table weaver.event_claims is
  'Who has handled which event: written with the effect, so that handling it twice has the effect once.';

grant insert on weaver.outbox, weaver.event_claims to weaver_walle;
grant insert, update on weaver.consumer_offsets to weaver_walle;
revoke execute on function weaver.sequence_outbox(), weaver.premake_outbox_partitions(integer),
  weaver.protect_log_table(regclass) from public;
grant execute on function weaver.sequence_outbox(), weaver.premake_outbox_partitions(integer) to weaver_walle;
