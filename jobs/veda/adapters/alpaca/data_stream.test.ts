/** Paper and live accounts of one process have their market data over one connection: no more are given. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DataStream } from '../../../../tests/support/alpaca/streams.ts'
import { type AlpacaWorld, openAlpacaWorld, openVenue } from '../../../../tests/support/alpaca/world.ts'
import { until } from '../../../../tests/support/until.ts'
import type { TradingMode, VenueStream } from '../../venue.ts'

let world: AlpacaWorld
const open: VenueStream[] = []
beforeEach(async () => {
  world = await openAlpacaWorld({ speed: 20, ghostMs: 0 })
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((stream) => stream.close()))
  await world.close()
})

/** An account at the emulator, and what of the market it hears. */
async function account(mode: TradingMode, secret = world.emulator.secret) {
  const prefix = `ALPACA_${mode.toUpperCase()}`
  const { url, key } = world.emulator
  const names = {
    [`${prefix}_API_KEY`]: key,
    [`${prefix}_API_SECRET`]: secret,
    [`${prefix}_BASE_URL`]: url,
    ALPACA_DATA_BASE_URL: url,
  }
  const venue = await openVenue(names, mode, world.world)
  const heard: string[] = []
  const stream = venue.stream({
    onOrder: () => {},
    onState: () => {},
    onBar: ({ symbol }) => void heard.push(symbol),
    onQuote: ({ symbol }) => void heard.push(`quote ${symbol}`),
  }) as VenueStream
  open.push(stream)
  return { stream, heard }
}

const data = () => world.emulator.control.streamAt('/v2/iex') as DataStream
const subscribed = (...symbols: string[]) =>
  until('the subscription', async () => data().subscribed('bars').sort().join() === symbols.join())
const bar = (symbol: string) =>
  world.emulator.control.streams.bar(symbol, { t: Date.UTC(2026, 2, 2, 15), o: 1, h: 1, l: 1, c: 1, v: 1, n: 1 })
const refused = (words: string) => world.logged.some((line) => line.includes(words))

test('each hears what it watches, over one connection, and goes without ending the other’s', async () => {
  const paper = await account('paper')
  const live = await account('live')
  paper.stream.watch(['AAPL', 'SPY'])
  live.stream.watch(['AAPL', 'BRK.A'], { quotes: ['AAPL'], trades: [] })
  await subscribed('AAPL', 'BRK.A', 'SPY')
  for (const symbol of ['AAPL', 'SPY', 'BRK.A']) bar(symbol)
  world.emulator.control.streams.quote('AAPL', '1', '2')
  await until('all of it', async () => live.heard.length === 3)
  expect([paper.heard, live.heard]).toEqual([
    ['AAPL', 'SPY'],
    ['AAPL', 'BRK.A', 'quote AAPL'],
  ])
  paper.stream.watch(['SPY'])
  await subscribed('AAPL', 'BRK.A', 'SPY')
  await paper.stream.close()
  await subscribed('AAPL', 'BRK.A')
  expect(data().sockets.size).toBe(1)
  // Of their orders the emulator has one account's only.
  expect(world.logged.filter((line) => line.includes('"stream":"alpaca /v2/iex"'))).toEqual([])
  live.stream.watch([])
  await until('the end', async () => data().sockets.size === 0)
})

test('keys that are refused make way for the other account’s', async () => {
  const paper = await account('paper', 'a revoked secret')
  const live = await account('live')
  paper.stream.watch(['SPY'])
  await until('the refusal', async () => refused('402 auth failed'))
  live.stream.watch(['AAPL'])
  await subscribed('AAPL', 'SPY')
  bar('SPY')
  await until('the bar', async () => paper.heard.length === 1)
})

test('after a refusal of too many symbols what was there before is known, and fewer are given in full again', async () => {
  const { stream } = await account('paper')
  const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => `S${100 + from + index}`)
  stream.watch(many(0, 28))
  await subscribed(...many(0, 28))
  // All others: the venue still counts those that were there.
  stream.watch(many(50, 40))
  await subscribed(...many(50, 20))
  stream.watch(many(50, 30))
  await subscribed(...many(50, 30))
  expect(world.logged.filter((line) => line.includes('no more symbols than that'))).toHaveLength(1)
})
