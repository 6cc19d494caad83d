/** What the market says between ticks, from the venues' streams through the keepers: marks, events, halts, corrected bars. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let at: WeaverAtAlpaca
beforeAll(async () => {
  at = await openWeaverAtAlpaca()
  at.emulator.control.autoFill(true)
})
afterAll(() => at.close())

const MINUTE = 60_000
/** Bars of a series are stored every few minutes. */
const STORED_WITHIN_MS = 5 * MINUTE

function mark(exchange: string, symbol: string) {
  return at.paper
    .query<{ price: string; source: string; marked_at: Date }>(
      'select trim_scale(price)::text as price, source, marked_at from weaver.market_marks where exchange = $1 and symbol = $2',
      [exchange, symbol],
    )
    .then(([row]) => row ?? null)
}

const told = (exchange: string, type: string) =>
  at.paper
    .query<{ payload: Record<string, unknown> }>(
      `select payload -> 'payload' as payload from weaver.outbox
       where type = $2 and run_id is null and payload #>> '{payload,exchange}' = $1 order by id`,
      [exchange, type],
    )
    .then((rows) => rows.map(({ payload }) => payload))

async function holding(exchange: string, symbol: string, risk = {}) {
  const run = await at.paper.start({ strategy_id: 'asks', exchange, symbols: [symbol], config: { qty: '10' }, risk })
  await at.reach('filled', run.id)
  return run
}

test('at Alpaca a run that loses too much between two ticks is halted by quotes, and a wide one says nothing', async () => {
  const { control } = at.emulator
  const run = await holding('alpaca', 'BTC/USD', { max_daily_loss: 150 })
  const coins = control.streamAt('/v1beta3/crypto/us') as unknown as { subscribed(channel: string): string[] }
  await at.until('quotes to be asked for', async () => coins.subscribed('quotes').includes('BTC/USD'))
  const quoted = async (bid: string, ask: string, price: string) => {
    control.streams.quote('BTC/USD', bid, ask)
    await at.until(`a mark of ${price}`, async () => (await mark('alpaca', 'BTC/USD'))?.price === price)
  }
  await quoted('99.8', '100', '99.9')
  control.streams.quote('BTC/USD', '1', '100')
  await quoted('79.8', '80', '79.9')
  expect((await at.paper.run(run.id)).halted).toBeNull()
  await quoted('79.7', '79.9', '79.8')
  const halted = await at.until('the halt', async () => (await at.paper.run(run.id)).halted)
  expect(halted).toMatchObject({ rule: 'max_daily_loss' })
  expect((await told('alpaca', 'market.Quote')).every(({ bid, ask }) => Number(ask) > Number(bid))).toBe(true)
  await at.paper.stop(run.id)
  await at.until('no more of it to be asked for', async () => coins.subscribed('quotes').length === 0)
})

test('a bar that is corrected is told again, is in later windows and candles, and decides no tick anew', async () => {
  const { control } = at.emulator
  const run = await at.paper.start({
    ...{ strategy_id: 'sma_cross', exchange: 'alpaca', symbols: ['BTC/USD'], config: { fast: 1, slow: 2 } },
  })
  await at.until('a tick', async () => (await at.paper.run(run.id)).next_tick >= 1)
  const coins = control.streamAt('/v1beta3/crypto/us') as unknown as { subscribed(channel: string): string[] }
  await at.until('bars to be asked for', async () => coins.subscribed('updatedBars').includes('BTC/USD'))
  const t = Math.floor(at.paper.time.now() / MINUTE) * MINUTE - MINUTE
  const bar = { t, o: 100, h: 101, l: 99, c: 100, v: 10, n: 2 }
  control.streams.bar('BTC/USD', bar)
  control.streams.bar('BTC/USD', bar)
  control.streams.bar('BTC/USD', { ...bar, c: 100.5 }, true)
  const corrected = () =>
    told('alpaca', 'market.Bar').then((bars) =>
      bars
        .filter(({ timestamp }) => timestamp === new Date(t).toISOString())
        .map(({ close, revised }) => [close, revised]),
    )
  await at.until('the correction', async () => (await corrected()).some(([, revised]) => revised === true))
  expect(await corrected()).toEqual([['100.5', true]])
  const windows = () =>
    at.paper.query<{ bar_index: number; close: number | null }>(
      `select (o.payload #>> '{payload,bar_index}')::int as bar_index, w.close
       from weaver.outbox o, lateral (
         select (c ->> (n - 1)::int)::float8 as close
         from (select o.payload #> '{payload,windows,0,columns,close}' as c) x,
           jsonb_array_elements_text(o.payload #> '{payload,windows,0,columns,time}') with ordinality as times (time, n)
         where times.time::float8 = $2
       ) w where o.type = 'data.WindowReady' and o.run_id = $1 order by o.id`,
      [run.id, t],
    )
  const before = (await windows()).length
  const later = await at.until('the next window', async () => {
    const seen = await windows()
    return seen.length > before ? seen : null
  })
  expect(later.at(-1)?.close).toBe(100.5)
  // No tick has two windows.
  expect(new Set(later.map(({ bar_index }) => bar_index)).size).toBe(later.length)
  const candle = () =>
    at.paper.query<{ close: string }>(
      `select trim_scale(close)::text as close from weaver.candles
       where symbol = 'BTC/USD' and timeframe = '1m' and timestamp = to_timestamp($1::float8 / 1000)`,
      [t],
    )
  await at.paper.pass(STORED_WITHIN_MS)
  await at.until('it to be stored', async () => (await candle()).some(({ close }) => close === '100.5'))
  control.streams.bar('BTC/USD', { ...bar, c: 100.25 }, true)
  await at.until('it to be told', async () => (await corrected()).length === 2)
  await at.paper.pass(STORED_WITHIN_MS)
  await at.until('the stored candle to be corrected', async () =>
    (await candle()).some(({ close }) => close === '100.25'),
  )
  const revised = await at.paper.query<{ payload: object }>(
    `select payload -> 'payload' as payload from weaver.outbox where type = 'data.CandlesRevised' order by id desc limit 1`,
  )
  const timestamp = new Date(t).toISOString()
  expect(revised).toEqual([
    { payload: { symbol: 'BTC/USD', timeframe: '1m', revised: 1, first: timestamp, last: timestamp } },
  ])
  await at.paper.stop(run.id)
})

test('the simulator quotes what is held, and tells bars and their corrections once each', async () => {
  const run = await holding('sim', 'SIM/USD')
  await at.paper.exchange.setFaults({ bar_revised: 1 })
  await at.until('a quote', async () => (await mark('sim', 'SIM/USD'))?.source === 'quote')
  const found = await mark('sim', 'SIM/USD')
  const second = Math.floor((found?.marked_at.getTime() ?? 0) / 1000)
  const mid = await at.paper.exchange.look(({ market }) => market('SIM/USD').mid(second))
  expect(Number(found?.price)).toBe(mid / 100)
  const bars = await at.until('corrected bars', async () => {
    const all = await told('sim', 'market.Bar')
    return all.some(({ revised }) => revised) ? all : null
  })
  const names = bars.map(({ timestamp, revised }) => `${timestamp} ${revised}`)
  expect(new Set(names).size).toBe(names.length)
  await at.paper.stop(run.id)
})
