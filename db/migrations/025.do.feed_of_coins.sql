-- Coins of Alpaca's have a feed of their own. It was called by that of shares, with which it has nothing to do: whoever changed that
-- could store no more of what was stored.

update weaver.datasets set feed = 'crypto_us' where feed in ('iex', 'sip') and strpos(symbol, '/') > 0;
comment on column weaver.datasets.feed is 'Where the bars come from: iex, sip, crypto_us, import, ...';
