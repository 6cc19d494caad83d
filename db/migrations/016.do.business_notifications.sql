-- Messages to people and programs outside, and the switch that is told that Weaver lives.

create table weaver.notifications (
  id uuid primary key,
  event_id uuid,
  channel text not null check (channel in ('webhook', 'telegram', 'mail')),
  kind text not null check (kind in ('fills', 'rejects', 'errors', 'halts', 'mismatches', 'jobs')),
  level text not null check (level in ('info', 'warning', 'critical')),
  type text not null,
  title text not null,
  body text not null,
  run_id uuid,
  order_id uuid,
  mode text,
  ts timestamptz not null,
  minute timestamptz not null,
  state text not null check (state in ('to_send', 'sent', 'failed', 'expired', 'held')),
  attempts integer not null default 0,
  last_error text,
  sent_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create index notifications_by_minute on weaver.notifications (minute, channel, kind);
create index notifications_waiting on weaver.notifications (channel) where state = 'to_send';
comment on table weaver.notifications is
  'What was told outside, a row for each event and channel; the id is the delivery''s. to_send: a job is at it. failed: given up after a day. expired: the event was too old. held: too many in its minute; one message without an event tells how many.';

create view weaver.notification_overview as
  select n.channel, count(*) filter (where n.state = 'to_send') as to_send, count(*) filter (where n.state = 'sent') as sent,
    count(*) filter (where n.state = 'failed') as failed, count(*) filter (where n.state = 'expired') as expired,
    count(*) filter (where n.state = 'held') as held, max(n.sent_at) as last_sent_at,
    min(n.created_at) filter (where n.state = 'to_send' and n.attempts > 0) as failing_since,
    (array_agg(n.last_error order by n.updated_at desc) filter (where n.state in ('to_send', 'failed') and n.last_error is not null))[1]
      as last_error
  from weaver.notifications n group by n.channel;
comment on view weaver.notification_overview is
  'Each channel: its messages by state, and of those that wait after a failure since when they do, and the newest error.';

create table weaver.heartbeats (
  id text primary key,
  tried_at timestamptz not null,
  beat_at timestamptz,
  problem text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
comment on table weaver.heartbeats is
  'One row: when WEAVER_HEARTBEAT_URL was last called with success, and why it was not since; null: it was.';

do $$
declare t text;
begin
  foreach t in array array['notifications', 'heartbeats'] loop
    execute format('create trigger touch_updated_at before update on weaver.%I for each row execute function weaver.touch_updated_at()', t);
    execute format('grant insert, update, delete on weaver.%I to weaver_walle', t);
  end loop;
end $$;
