-- An exit that its venue refuses is tried again for as long as it has something to close: what is counted are refusals, since
-- a venue that is busy or away has refused nothing.
alter table weaver.order_sends
  add column refusals integer not null default 0,
  add column at_market boolean not null default false,
  add column qty_increment numeric;
comment on column weaver.order_sends.refusals is 'Times that the venue has refused it in words; only an exit is sent again after that.';
comment on column weaver.order_sends.at_market is
  'Of a stop loss: the venue says that the price has gone through it already, so it is sent as a market order.';
comment on column weaver.order_sends.qty_increment is
  'Of the asset, as the venue told it when the order was sent: the exits of what it fills are multiples of it. Null: of nothing, or not known.';
