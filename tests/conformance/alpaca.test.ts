/** Alpaca's adapter on the emulator is a venue like any other. */
import { expect, test } from 'vitest'
import type { RawBar } from '../support/alpaca/market.ts'
import { openAlpacaWorld } from '../support/alpaca/world.ts'
import { pause } from '../support/until.ts'
import { cancelEverything, type Stage, venueConformance } from './venue.ts'

/** A Monday, in the session. */
const START = Date.UTC(2026, 2, 2, 15, 0, 30)
const MINUTES = 24_000

function barsTo(end: number, step: number, count: number): RawBar[] {
  const newest = Math.floor(end / step) * step
  return Array.from({ length: count }, (_, index) => {
    const t = newest - (count - 1 - index) * step
    const o = 50_000 + (index % 50)
    return { t, o, h: o + 3, l: o - 2, c: o + 1, v: index % 7, n: index % 7 }
  })
}

/** `besides`: another order, of somebody else's, which is there from the beginning and must be there at the end. */
function stage(symbol: string, qty: string, besides = false) {
  return async (): Promise<Stage> => {
    const { emulator, venue, now, close } = await openAlpacaWorld({ start: START, ghostMs: 0 })
    const { control } = emulator
    control.setCash('10000000')
    control.setPrice(symbol, '50000')
    control.fillInParts('100')
    control.autoFill(true)
    for (const [timeframe, step, count] of [
      ['1Min', 60_000, MINUTES],
      ['5Min', 300_000, 100],
      ['1Hour', 3_600_000, 100],
    ] as const) {
      control.market.setBars(symbol, timeframe, barsTo(now(), step, count))
    }
    const other = besides ? control.foreignOrder({ symbol, side: 'buy', qty: '1', limit_price: '1' }) : null
    let ids = 0
    return {
      venue,
      isShared: besides,
      symbol,
      qty,
      newClientId: () => {
        ids += 1
        return `conformance-${symbol}-${ids}`
      },
      price: async () => 50_000,
      pass: (ms) => pause(Math.min(ms / 20, 50)),
      partialQty: '150',
      unaffordableQty: '100000',
      keepsFee: symbol.includes('/'),
      async cutStream() {
        control.streams.cut()
      },
      async close() {
        await close()
        if (other !== null) expect(control.book.order(other).status).toBe('new')
      },
    }
  }
}

venueConformance('Alpaca, coins', stage('BTC/USD', '0.5'))
venueConformance('Alpaca, shares', stage('AAPL', '3'))
venueConformance('Alpaca, beside an order of somebody else', stage('BTC/USD', '0.5', true))

test('the suite does not cancel everything where somebody else has an order', async () => {
  const shared = await stage('BTC/USD', '0.5', true)()
  await expect(cancelEverything(shared, [])).rejects.toThrow('open orders that are not of this test would be cancelled')
  await shared.close()
})
