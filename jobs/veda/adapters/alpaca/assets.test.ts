/** Each order asks what its symbol is: the venue is asked rarely. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type AlpacaWorld, openAlpacaWorld, openVenue } from '../../../../tests/support/alpaca/world.ts'
import type { Venue } from '../../venue.ts'

let world: AlpacaWorld
let now = 0
let venue: Venue
beforeEach(async () => {
  world = await openAlpacaWorld({ speed: 1 })
  now = world.now()
  venue = await openVenue(world.emulator.env, 'paper', { ...world.world, now: () => now })
})
afterEach(() => world.close())

const asked = () =>
  world.emulator.received.map(({ path, query }) => `${path}${query === '' ? '' : `?${query}`}`.replace('/v2/', ''))
const COINS = 'assets?asset_class=crypto'
const SHARES = 'assets?status=active&asset_class=us_equity'
const asset = (symbol: string) => world.emulator.control.book.asset(symbol) as { tradable: boolean }

test('a share is asked for once, by however many at once, and again minutes later', async () => {
  const two = await Promise.all([venue.asset('AAPL'), venue.asset('AAPL')])
  expect(two).toEqual([expect.objectContaining({ tradable: true }), two[0]])
  await venue.asset('AAPL')
  expect(asked()).toEqual(['assets/AAPL'])
  asset('AAPL').tradable = false
  now += 301_000
  expect(await venue.asset('AAPL')).toMatchObject({ tradable: false })
  expect(asked()).toEqual(['assets/AAPL', 'assets/AAPL'])
})

test('coins are listed, for orders and positions too; one that is gone is none', async () => {
  expect(await venue.asset('BTC/USD')).toMatchObject({ min_notional: '10' })
  expect(await venue.asset('NOPE/USD')).toBeNull()
  await venue.orders({ open: true })
  expect(asked().filter((path) => path.startsWith('assets'))).toEqual([COINS])
  const { assets } = world.emulator.control.book
  assets.splice(assets.indexOf(asset('BTC/USD') as never), 1)
  expect(await venue.asset('BTC/USD')).not.toBeNull()
  now += 301_000
  expect(await venue.asset('BTC/USD')).toBeNull()
  expect(await venue.asset('ETH/USD')).not.toBeNull()
  expect(asked().filter((path) => path.startsWith('assets'))).toEqual([COINS, COINS])
})

test('many shares at once are listed once; what is not in the list is asked for by its name', async () => {
  const wanted = ['AAPL', 'SPY', 'BRK.A', 'GONE', 'NONE', 'BTC/USD', 'SPY']
  const found = await Promise.all(wanted.map(venue.asset))
  expect(found.map((one) => one?.tradable ?? null)).toEqual([true, true, true, false, null, true, true])
  expect(asked().sort()).toEqual([COINS, SHARES, 'assets/GONE', 'assets/NONE'].sort())
  await Promise.all(wanted.map(venue.asset))
  // Of what there is not nothing is remembered.
  expect(asked().filter((path) => path !== 'assets/NONE')).toHaveLength(3)
})

test('while the venue does not answer, what was known counts, and what was not fails', async () => {
  await venue.asset('AAPL')
  now += 301_000
  world.emulator.control.faults.rateLimit(3)
  expect(await venue.asset('AAPL')).toMatchObject({ symbol: 'AAPL', tradable: true })
  await expect(venue.asset('SPY')).rejects.toMatchObject({ kind: 'rate_limited' })
  await expect(venue.asset('BTC/USD')).rejects.toMatchObject({ kind: 'rate_limited' })
  expect(await venue.asset('SPY')).toMatchObject({ symbol: 'SPY' })
})
