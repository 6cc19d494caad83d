-- Whose what an account holds is: what paused a symbol is remembered with its class, fees are those of what was bought since
-- the books were right last, and runs that traded in another account are left out.

alter table weaver.account_positions
  add column equal_at timestamptz,
  add column paused_class text;
comment on column weaver.account_positions.equal_at is
  'When the venue''s position was as expected last: what was bought before has borne its fees. Null: not yet.';
comment on column weaver.account_positions.paused_class is 'The class of the finding that paused the symbol.';
comment on column weaver.account_positions.fee_adjustment is
  'Part of unattributed_qty: what the venue kept less of purchases as its fee than the runs booked.';

alter table weaver.accounts add column number_since timestamptz;
comment on column weaver.accounts.number_since is
  'Since when the credentials are those of account_number: runs that started before it traded in another account. Null: it never changed.';

-- Nobody owes what runs hold: what was sold by hand is found again, and held against the runs that it belonged to.
update weaver.account_positions a
set unattributed_qty = a.unattributed_qty + least(-a.unattributed_qty, held.qty)
from (
  select r.exchange, r.mode, p.symbol, sum(p.qty) as qty
  from weaver.positions p join weaver.runs r on r.id = p.run_id
  where p.qty > 0 and r.mode <> 'backtest' group by r.exchange, r.mode, p.symbol
) held
where held.exchange = a.exchange and held.mode = a.mode and held.symbol = a.symbol and a.unattributed_qty < 0;
