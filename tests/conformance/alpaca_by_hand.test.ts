/**
 * The suite against a person's own Alpaca paper account: `npm run test:paper`. With the smallest orders, cancelled and sold
 * afterwards. Never in CI, and skipped where no credentials are given.
 */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import alpaca from '../../jobs/veda/adapters/alpaca/index.ts'
import type { Venue, VenueWorld } from '../../jobs/veda/venue.ts'
import { pause } from '../support/until.ts'
import { type Stage, venueConformance } from './venue.ts'

const SYMBOL = 'BTC/USD'
const QTY = '0.0003'
const OURS = 'weaver-test-'

function world(): VenueWorld {
  return {
    now: () => Date.now(),
    sleep: pause,
    newId: randomUUID,
    log: () => {},
    takeToken: () => pause(400),
    emptyBucket: () => pause(10_000),
    simBook: null as never,
  }
}

/** What the tests ordered is cancelled, what they bought is sold, and nothing else. */
async function tidy(venue: Venue, before: number): Promise<void> {
  for (const { client_order_id, exchange_order_id } of await venue.orders({ open: true })) {
    if (client_order_id.startsWith(OURS)) await venue.cancel({ exchange_order_id })
  }
  const held = Number((await venue.positions()).find(({ symbol }) => symbol === SYMBOL)?.qty ?? '0')
  const bought = Math.floor((held - before) * 1e8) / 1e8
  if (bought <= 0) return
  await venue.submit({
    client_order_id: `${OURS}${randomUUID()}`,
    symbol: SYMBOL,
    side: 'sell',
    order_type: 'market',
    qty: bought.toFixed(8),
    limit_price: null,
    stop_price: null,
    trail_price: null,
    trail_percent: null,
    time_in_force: 'gtc',
    extended_hours: false,
  })
}

async function open(): Promise<Stage> {
  const settings = alpaca.settings(process.env, 'paper')
  if (settings === null) throw new Error('set ALPACA_PAPER_API_KEY and ALPACA_PAPER_API_SECRET')
  const venue = await alpaca.open(settings, 'paper', world())
  const held = async () => Number((await venue.positions()).find(({ symbol }) => symbol === SYMBOL)?.qty ?? '0')
  const others = (await venue.orders({ open: true })).filter(({ client_order_id }) => !client_order_id.startsWith(OURS))
  if (others.length > 0) {
    await venue.close()
    const named = others.map(({ side, qty, symbol }) => `${side} ${qty} ${symbol}`).join(', ')
    throw new Error(`the account has open orders that are not of these tests, which cancel all that is open: ${named}`)
  }
  const before = await held()
  return {
    venue,
    symbol: SYMBOL,
    qty: QTY,
    unaffordableQty: '1000000',
    keepsFee: true,
    newClientId: () => `${OURS}${randomUUID()}`,
    async price() {
      const now = await venue.time()
      const bars = await venue.bars({ symbol: SYMBOL, timeframe: '1m', start: now - 3_600_000, end: now })
      return Number(bars.at(-1)?.close)
    },
    pass: (ms) => pause(Math.min(ms, 1_000)),
    async close() {
      await tidy(venue, before)
      await venue.close()
    },
  }
}

const wanted = process.env.WEAVER_TEST_PAPER === '1' && Boolean(process.env.ALPACA_PAPER_API_KEY)
if (wanted) venueConformance('an Alpaca paper account', open)

test.skipIf(!wanted)('an Alpaca paper account is tried by hand: `npm run test:paper`, with its credentials', () => {
  expect(wanted).toBe(true)
})
