-- A venue may take its fee out of what a trade credits: the coin of a buy. The quantity filled and the quantity received
-- then differ.
alter table weaver.fills add column fee_qty numeric not null default 0;
comment on column weaver.fills.fee is 'All of the commission, in the quote currency.';
comment on column weaver.fills.fee_qty is
  'Part of qty that was kept as the fee instead of being paid in cash: the position changed by qty - fee_qty, the cash by '
  '(qty - fee_qty) * price + fee.';
