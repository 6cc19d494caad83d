-- What reconciliations found while a run went on is read by a replay of that run: they are few, and belong to no run.

create index outbox_account_reconciled on weaver.outbox (id) where type = 'account.Reconciled';
