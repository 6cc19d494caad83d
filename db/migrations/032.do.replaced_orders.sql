-- An order that somebody replaces at its venue goes on there as another one, which counts its fills from nothing. Weaver's order
-- follows it: exchange_order_id is the newest one's, and these are those before it.
alter table weaver.order_sends
  add column replaced_ids jsonb not null default '[]',
  add column filled_before numeric not null default 0;
comment on column weaver.order_sends.replaced_ids is
  'The venue''s ids of the orders that others took the place of, oldest first; orders.exchange_order_id is that of the newest.';
comment on column weaver.order_sends.filled_before is 'What those had filled: the newest one counts from there.';
create index order_sends_by_replaced_id on weaver.order_sends using gin (replaced_ids) where replaced_ids <> '[]';

create or replace function weaver.event_summary(event jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when type = 'run.Created' then format('run of %s on %s %s, %s%s', p ->> 'strategy_id',
      (select string_agg(s, ', ') from jsonb_array_elements_text(p -> 'symbols') s), p ->> 'timeframe', p ->> 'mode',
      ': ' || (p ->> 'label'))
    when type = 'run.Started' then 'started'
    when type = 'run.StopRequested' then 'asked to stop'
    when type = 'run.Stopped' then 'stopped'
    when type = 'run.Completed' then format('completed with %s, result hash %s', p ->> 'final_equity', left(p ->> 'result_hash', 12))
    when type = 'run.Error' then concat('failed', ' at tick ' || (p ->> 'bar_index'), ': ', p ->> 'message')
    when type = 'run.Progressed' then format('%s of %s ticks', p ->> 'next_tick', p ->> 'ticks_total')
    when type = 'run.Deleted' then 'deleted'
    when type = 'run.Rebuilt' then format('%s rows replaced by what the log says', p ->> 'rows')
    when type = 'clock.Tick' then format('tick %s, %s', p ->> 'bar_index', p ->> 'timeframe')
    when type like '%.FetchWindow' then 'wants ' || coalesce((
      select string_agg(format('%s bars of %s %s', r ->> 'bars', r ->> 'symbol', r ->> 'timeframe'), ', ')
      from jsonb_array_elements(p -> 'requests') r), 'nothing')
    when type = 'data.WindowReady' then coalesce((
      select string_agg(format('%s bars of %s %s to %s', w ->> 'bars', w ->> 'symbol', w ->> 'timeframe', w ->> 'to'), ', ')
      from jsonb_array_elements(p -> 'windows') w), 'nothing')
    when type = 'strategy.DecisionMade' then coalesce(nullif(concat_ws('; ',
        (select string_agg(weaver.intent_text(i), '; ') from jsonb_array_elements(p -> 'intents') i),
        (select string_agg('skips: ' || s, '; ') from jsonb_array_elements_text(p -> 'skips') s),
        (p #>> '{left_out,intents}') || ' intents, told of in table decisions'), ''), 'does nothing')
    when type = 'strategy.PlaceRequest' or type like '%.PlaceOrder' then weaver.intent_text(p -> 'intent')
    when type = 'strategy.CancelRequest' or type like '%.CancelOrder' then 'cancel ' || (p ->> 'client_order_id')
    when type = 'orders.Created' then concat_ws(', ', weaver.intent_text(p - 'reason'), p ->> 'time_in_force', p ->> 'reason')
    when type = 'orders.Submitted' then 'sent'
    when type = 'orders.Accepted' then 'accepted'
    when type = 'orders.Replaced' then concat_ws(' ', 'changed at the venue to', p ->> 'qty', 'stop ' || (p ->> 'stop_price'),
      'at ' || (p ->> 'price'), 'trailing by ' || (p ->> 'trail_price'), 'trailing by ' || (p ->> 'trail_percent') || ' %',
      p ->> 'time_in_force')
    when type in ('orders.PartiallyFilled', 'orders.Filled') then
      format('%s at %s, fee %s', p ->> 'qty', p ->> 'price', p ->> 'fee')
      || case when p ->> 'filled_qty' = p ->> 'qty' then ''
           else format('; %s at %s in all', p ->> 'filled_qty', p ->> 'filled_avg_price') end
    when type in ('orders.Cancelled', 'orders.Expired', 'orders.Rejected') then concat_ws(': ',
      p ->> 'reason', p ->> 'rule', p ->> 'detail')
    when type = 'job.Failed' then format('the job %s failed for good: %s', p ->> 'task', p ->> 'error')
    -- What this version has no words for: its plain values.
    else (select string_agg(format('%s %s', key, value), ', ') from jsonb_each_text(p) where length(value) <= 60)
    end
  from (select event ->> 'type', event -> 'payload') as given (type, p);
$$;
