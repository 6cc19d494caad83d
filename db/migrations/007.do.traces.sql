-- What a person asks of the log: what one event says, how an order came about, what became of a run.
-- All of it reads only, with the rights of whoever asks.

create function weaver.intent_text(intent jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when intent ->> 'kind' = 'cancel' then 'cancel ' || (intent ->> 'client_order_id')
    else concat_ws(' ', intent ->> 'side', intent ->> 'qty', intent ->> 'symbol', replace(intent ->> 'order_type', '_', ' '),
      'stop ' || (intent ->> 'stop_price'), 'at ' || coalesce(intent ->> 'limit_price', intent ->> 'price'),
      'trailing by ' || (intent ->> 'trail_price'), 'trailing by ' || (intent ->> 'trail_percent') || ' %',
      'take profit ' || (intent ->> 'take_profit'), 'stop loss ' || (intent ->> 'stop_loss'),
      '(' || (intent ->> 'reason') || ')')
    end;
$$;
comment on function weaver.intent_text(jsonb) is 'An order as asked for, in words.';

create function weaver.event_summary(event jsonb) returns text
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
comment on function weaver.event_summary(jsonb) is 'What an event says, in words; takes the envelope (outbox.payload).';

-- events: [{event: envelope, created_at}], in their order. The order's own events, what they caused, and what led to all that.
create function weaver.causal_chain(events jsonb, order_id uuid)
returns table (n bigint, type text, at timestamptz, created_at timestamptz, latency_ms double precision, event_id uuid,
  causation_id uuid, corr_id uuid, producer text, summary text, payload jsonb)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive given as materialized (
    select list.place, list.given -> 'event' as event, (list.given ->> 'created_at')::timestamptz as created_at,
      (list.given #>> '{event,id}')::uuid as id, (list.given #>> '{event,causation_id}')::uuid as cause
    from jsonb_array_elements(causal_chain.events) with ordinality as list (given, place)
  ), own as (
    select g.id, g.cause from given g where g.event #>> '{payload,order_id}' = causal_chain.order_id::text
    union
    select g.id, g.cause from own join given g on g.cause = own.id
  ), chain as (
    select own.id, own.cause from own
    union
    select g.id, g.cause from chain join given g on g.id = chain.cause
  )
  select row_number() over hops, g.event ->> 'type', (g.event ->> 'ts')::timestamptz, g.created_at,
    1000 * extract(epoch from g.created_at - lag(g.created_at) over hops)::double precision, g.id, g.cause,
    (g.event ->> 'corr_id')::uuid, g.event ->> 'producer', weaver.event_summary(g.event), g.event -> 'payload'
  from given g where g.id in (select chain.id from chain) window hops as (order by g.place) order by g.place;
$$;
comment on function weaver.causal_chain(jsonb, uuid) is
  'Of some events those that an order''s life consists of, as hops: what led to it, what befell it, what it caused.';

-- An order's events lie between the tick that placed it and its last one, or its exits' last one. A cancel goes back to
-- a later tick, by its causes.
create function weaver.order_trace("order" text)
returns table (n bigint, type text, at timestamptz, created_at timestamptz, latency_ms double precision, event_id uuid,
  causation_id uuid, corr_id uuid, producer text, summary text, payload jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
#variable_conflict use_column
declare
  asked record;
  first_id bigint;
  last_id bigint;
  events jsonb;
begin
  select o.id, o.run_id, o.corr_id into asked from weaver.orders o
    where o.client_order_id = "order" or o.id = case when "order" ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then "order"::uuid end;
  if not found then
    raise exception using errcode = 'P0002', message = format('there is no order %s', left("order", 100)),
      hint = 'Give the id or the client_order_id of a row of weaver.orders.';
  end if;
  select coalesce(min(e.id), 0) into first_id from weaver.outbox e where e.event_id = asked.corr_id;
  select max(e.id) into last_id from weaver.orders o join weaver.outbox e on e.event_id = o.last_event_id
    where o.run_id = asked.run_id and (o.id = asked.id or o.parent_order_id = asked.id);
  with recursive known as (
    select e.event_id, e.causation_id from weaver.outbox e
    where e.run_id = asked.run_id and e.id between first_id and last_id and e.corr_id = asked.corr_id
    union
    select cause.event_id, cause.causation_id from known cross join lateral (
      select e.event_id, e.causation_id from weaver.outbox e where e.event_id = known.causation_id offset 0) cause
  )
  select jsonb_agg(jsonb_build_object('event', found.payload, 'created_at', found.created_at) order by found.id) into events
  from known cross join lateral (
    select e.id, e.payload, e.created_at from weaver.outbox e where e.event_id = known.event_id offset 0) found;
  return query select * from weaver.causal_chain(coalesce(events, '[]'), asked.id);
end $$;
comment on function weaver.order_trace(text) is
  'How an order came about and what became of it, hop by hop, from the log; by id or client_order_id. Empty where the run left no such events in the log: `weaver trace` derives them.';

-- For people. In a backtest `at` is the run's time and `recorded_at` the wall's; elsewhere both are the wall's.
create function weaver.run_timeline(run uuid)
returns table (n bigint, at timestamptz, recorded_at timestamptz, what text, summary text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  r weaver.runs;
begin
  select * into r from weaver.runs where id = run;
  if not found then
    raise exception using errcode = 'P0002', message = format('there is no run %s', run),
      hint = 'Of a deleted run the log may still tell: select * from weaver.outbox where run_id = …';
  end if;
  return query
  with logged as materialized (
    select e.id, e.type, e.created_at, e.payload from weaver.outbox e
    where e.run_id = run and e.type in ('run.StopRequested', 'run.Progressed', 'run.Rebuilt', 'job.Failed')
  ), told (phase, at, recorded_at, place, what, summary) as (
    select 0, r.created_at, r.created_at, 0::bigint, 'created', format('%s %s on %s %s, %s%s', r.strategy_id,
      r.strategy_version, array_to_string(r.symbols, ', '), r.timeframe, r.mode, ': ' || r.label)
    union all
    select 0, r.started_at, r.started_at, 1, 'started', format('by Weaver %s, audit %s', r.weaver_version, r.audit)
    where r.started_at is not null
    union all
    select 1, d.ts, d.created_at, 2, 'decision', concat_ws('; ',
      (select string_agg(weaver.intent_text(i), '; ') from jsonb_array_elements(d.intents) i),
      (select string_agg('skips: ' || s, '; ') from jsonb_array_elements_text(d.skips) s),
      (select string_agg('logs: ' || (l ->> 'message'), '; ') from jsonb_array_elements(d.logs) l))
    from weaver.decisions d where d.run_id = run
    union all
    select 1, o.placed_at, o.created_at, 3, 'order', concat(weaver.intent_text(to_jsonb(o) - 'reason'), ': ', o.status,
      ' ' || nullif(trim_scale(o.filled_qty), 0) || ' at ' || trim_scale(o.filled_avg_price), ', ' || o.reject_reason)
    from weaver.orders o where o.run_id = run
    union all
    select 1, f.known_at, f.created_at, 1, 'fill', concat_ws(' ', f.side, trim_scale(f.qty), f.symbol, 'at',
      trim_scale(f.price), 'fee ' || nullif(trim_scale(f.fee), 0))
    from weaver.fills f where f.run_id = run
    union all
    select 2, max(l.created_at), max(l.created_at), 4, 'progress', format('%s of %s ticks in %s steps',
      max((l.payload #>> '{payload,next_tick}')::bigint), max((l.payload #>> '{payload,ticks_total}')::bigint), count(*))
    from logged l where l.type = 'run.Progressed' having count(*) > 0
    union all
    select 2, l.created_at, l.created_at, 5 + l.id, case l.type when 'run.StopRequested' then 'stop' when 'run.Rebuilt'
      then 'rebuilt' else 'job failed' end, weaver.event_summary(l.payload)
    from logged l where l.type <> 'run.Progressed'
    union all
    -- The log may be shorter than the dead letters.
    select 2, d.failed_at, d.created_at, 5, 'job failed', format('the job %s failed for good: %s', d.task, d.error)
    from weaver.job_dead_letters d where d.run_id = run
      and not exists (select from logged l where l.payload #>> '{payload,job_id}' = d.id::text)
    union all
    select 2, r.stopped_at, r.stopped_at, 9000000000000000000, r.status, coalesce(r.error ->> 'message',
      'result hash ' || left(r.result_hash, 12), '')
    where r.stopped_at is not null
  )
  select row_number() over sorted, t.at, t.recorded_at, t.what, t.summary from told t
  window sorted as (
    order by case when r.mode = 'backtest' then t.phase end, case when r.mode = 'backtest' and t.phase = 2 then t.recorded_at
      else t.at end, t.place, t.summary)
  order by 1;
end $$;
comment on function weaver.run_timeline(uuid) is
  'What happened to a run, for people, from its tables and, as far as it reaches, the log.';
