/**
 * What must hold between Weaver and the simulator's book, which knows nothing of Weaver: each as one SQL query that finds
 * what breaks it. Those of `PAPER_ALWAYS` hold at any instant, those of `PAPER_AT_REST` once the faults have stopped, what
 * was under way is done and the runs have ended.
 */
import type { Invariant } from './invariants.ts'

const SIGNED = (qty: string) => `case side when 'buy' then ${qty} else -${qty} end`

export const PAPER_ALWAYS: readonly Invariant[] = [
  {
    is: 'an order that was asked for is on record once',
    sql: `select e.client_order_id, count(o.id) as orders
      from (select event_id, type, payload #>> '{payload,intent,client_order_id}' as client_order_id from weaver.outbox) e
        left join weaver.orders o using (client_order_id)
        left join graphile_worker._private_jobs j on j.payload ->> 'event_id' = e.event_id::text
      where e.type = 'live.PlaceOrder' and j.id is null group by 1 having count(o.id) <> 1`,
  },
  {
    is: 'the venue has no order that Weaver did not send',
    sql: `select s.client_order_id, s.status from weaver.sim_orders s
        left join weaver.orders o using (client_order_id) left join weaver.order_sends w on w.order_id = o.id
      where o.id is null or w.attempts is null or w.attempts = 0`,
  },
  {
    is: 'Weaver booked no fill that the venue did not make',
    sql: `select o.client_order_id, o.filled_qty, s.filled_qty as venue from weaver.orders o
        join weaver.runs r on r.id = o.run_id and r.mode = 'paper'
        left join weaver.sim_orders s using (client_order_id)
      where o.filled_qty > coalesce(s.filled_qty, 0)`,
  },
  {
    // What is only known by the quantity that it made has a number of its order.
    is: 'a fill of the venue is booked once',
    sql: `select execution_id, case when execution_id like 'cum:%' then order_id end as order_id, count(*)
      from weaver.fills where execution_id is not null group by 1, 2 having count(*) > 1`,
  },
  {
    is: 'every boundary since a run began has its tick, emitted or missed, and only one',
    sql: `select run_id, count(*), min(bar_index), max(bar_index) from weaver.clock_ticks group by 1
      having count(*) <> max(bar_index) + 1 or min(bar_index) <> 0 or count(distinct ts) <> count(*)`,
  },
  {
    is: 'the cash of a run is what its fills left of it',
    sql: `select l.run_id, l.cash, r.initial_cash - coalesce(sum(${SIGNED('(f.qty - f.fee_qty) * f.price')} + f.fee), 0) as from_fills
      from weaver.run_ledgers l join weaver.runs r on r.id = l.run_id left join weaver.fills f on f.run_id = l.run_id
      group by l.run_id, l.cash, r.initial_cash
      having l.cash <> r.initial_cash - coalesce(sum(${SIGNED('(f.qty - f.fee_qty) * f.price')} + f.fee), 0)`,
  },
  {
    is: 'the simulator holds what its executions amount to',
    sql: `select symbol, made.qty, p.qty as position from
        (select symbol, sum(${SIGNED('qty')} - fee_qty) as qty from weaver.sim_executions group by 1) made
      full join weaver.sim_positions p using (symbol) where coalesce(made.qty, 0) <> coalesce(p.qty, 0)`,
  },
]

/** A take profit waits for its price in Weaver while its stop loss lies at the venue (ADR 17): of `o`, with its send `w`. */
const WAITS_FOR_ITS_PRICE = `coalesce(w.state = 'to_send' and w.attempts = 0 and exists (
    select from weaver.orders stop
    where stop.run_id = o.run_id and stop.parent_order_id = o.parent_order_id and stop.status in ('accepted', 'partial')
      and substring(stop.client_order_id from '-sl(\\d+)') = substring(o.client_order_id from '-tp(\\d+)')
  ), false)`

export const PAPER_AT_REST: readonly Invariant[] = [
  {
    is: 'Weaver and the venue agree on what became of every order',
    sql: `select o.client_order_id, o.status, s.status as venue, o.filled_qty, s.filled_qty as venue_qty, w.state, w.attempts
      from weaver.orders o join weaver.runs r on r.id = o.run_id and r.mode = 'paper'
        left join weaver.order_sends w on w.order_id = o.id
        full join weaver.sim_orders s using (client_order_id)
      where s.client_order_id is null and o.status not in ('rejected', 'cancelled') and not ${WAITS_FOR_ITS_PRICE}
        or o.id is null or s.status <> o.status or s.filled_qty <> o.filled_qty`,
  },
  {
    is: 'every order has its answer',
    sql: `select order_id, state, attempts, lookups, last_error from weaver.order_sends w
      join weaver.orders o on o.id = w.order_id
      where w.state <> 'answered' and o.status not in ('rejected', 'cancelled', 'expired', 'filled')
        and not ${WAITS_FOR_ITS_PRICE}`,
  },
  {
    is: 'what the venue executed is what the fills amount to, order by order',
    sql: `select o.client_order_id, coalesce(f.qty, 0) as fills, coalesce(x.qty, 0) as executed
      from weaver.orders o join weaver.sim_orders s using (client_order_id)
        left join (select order_id, sum(qty) as qty from weaver.fills group by 1) f on f.order_id = o.id
        left join (select exchange_order_id, sum(qty) as qty from weaver.sim_executions group by 1) x
          on x.exchange_order_id = s.exchange_order_id
      where coalesce(f.qty, 0) <> coalesce(x.qty, 0)`,
  },
  {
    is: 'the positions of the runs and what is nobody’s make the position at the venue',
    sql: `select symbol, coalesce(ours.qty, 0) as runs, coalesce(a.unattributed_qty, 0) as nobodys, coalesce(v.qty, 0) as venue
      from (select p.symbol, sum(p.qty) as qty from weaver.positions p join weaver.runs r on r.id = p.run_id and r.mode = 'paper'
          group by 1) ours
        full join weaver.sim_positions v using (symbol)
        full join (select symbol, unattributed_qty from weaver.account_positions where exchange = 'sim') a using (symbol)
      where coalesce(ours.qty, 0) + coalesce(a.unattributed_qty, 0) <> coalesce(v.qty, 0)
        or coalesce(a.unattributed_qty, 0) <> 0`,
  },
  {
    is: 'no symbol is paused',
    sql: 'select symbol, venue_qty, runs_qty, unattributed_qty, paused_reason from weaver.account_positions where paused_reason is not null',
  },
  {
    is: 'nothing is open at the venue but exits that protect a position',
    sql: `select s.client_order_id, s.status, o.order_type, o.side, o.qty, o.filled_qty, p.qty as position
      from weaver.sim_orders s left join weaver.orders o using (client_order_id)
        left join weaver.positions p on p.run_id = o.run_id and p.symbol = o.symbol
      where s.status in ('accepted', 'partial') and o.parent_order_id is null
        and not coalesce(o.order_type in ('stop', 'stop_limit', 'trailing_stop') and o.qty - o.filled_qty <= abs(p.qty)
          and o.side = case when p.qty > 0 then 'sell' else 'buy' end, false)`,
  },
  {
    is: 'no tick was left half done',
    sql: 'select run_id, bar_index, ts from weaver.clock_ticks where event_id is not null and done_at is null',
  },
]
