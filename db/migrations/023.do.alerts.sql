-- What wants a person is asked for by the page all the time, and is a few rows in millions.

create index outbox_alerts on weaver.outbox (id) where type = 'system.Error';
