-- A fill that is only seen in an order's totals has a fee too: the simulator tells the sum of them, as of quantities.

alter table weaver.sim_orders
  add column fee numeric not null default 0,
  add column fee_qty numeric not null default 0;
update weaver.sim_orders o set fee = e.fee, fee_qty = e.fee_qty
from (
  select account, exchange_order_id, sum(fee) as fee, sum(fee_qty) as fee_qty
  from weaver.sim_executions group by account, exchange_order_id
) e
where e.account = o.account and e.exchange_order_id = o.exchange_order_id;

-- What a venue keeps of purchases is not always what was booked, and never more than its highest fee: differences within
-- that are fees, and no symbol is paused for them.
alter table weaver.account_positions add column fee_adjustment numeric not null default 0;
comment on column weaver.account_positions.fee_adjustment is
  'Part of unattributed_qty: what the venue kept less (or, negative, more) of purchases as its fee than the runs booked.';

-- How long an order has waited is told by one clock, that of who sends it, which Postgres's need not be.
alter table weaver.order_sends add column wanted_at timestamptz;
update weaver.order_sends set wanted_at = created_at;
alter table weaver.order_sends alter column wanted_at set not null;
