-- What is asked for at every look at an account must not grow with all the backtests that there ever were: only orders that
-- were at a venue have an exchange_order_id.

create index orders_by_exchange_id on weaver.orders (exchange_order_id) where exchange_order_id is not null;
create index orders_at_venues_by_change on weaver.orders (updated_at) where exchange_order_id is not null;
create index window_waits_late on weaver.window_waits (run_id) where late > 0;
