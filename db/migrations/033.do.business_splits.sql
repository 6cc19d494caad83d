-- Splits: orders from before one have prices and quantities of before, and what comes of them later is made to fit.
alter table weaver.run_ledgers add column splits jsonb;
comment on column weaver.run_ledgers.splits is
  'Splits that were applied to what the run holds, oldest first: the symbol, fresh shares for old ones, and the ordinal of the run''s first order after it. Null: none.';
