import { expect, test } from 'vitest'
import { createScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import type { Live } from '../../live/live.ts'
import type { MarketDetail } from '../marks.ts'
import type { StreamHandlers, Venue } from '../venue.ts'
import { Ear } from './ear.ts'

const BAR = { time: 0, open: '1', high: '1', low: '1', close: '1', volume: '1', trade_count: null }
const PUSHED = { ...BAR, symbol: 'BTC/USD', timeframe: '1m', revised: false } as const

function opened(follows: MarketDetail = 'bars') {
  const watched: unknown[] = []
  const streams: StreamHandlers[] = []
  const heard: unknown[] = []
  const venue: Venue = {
    ...createScriptedVenue(),
    stream(handlers) {
      streams.push(handlers)
      return { watch: (symbols, ticks) => void watched.push([...symbols], ticks), close: async () => {} }
    },
  }
  const live = {
    now: () => 0,
    log: () => {},
    market: { follows, heard: (_venue: Venue, news: unknown) => void heard.push(news) },
  } as unknown as Live
  const apply = async () => Promise.reject(new Error('no order is told of'))
  const ear = new Ear({ live, apply, name: { exchange: 'scripted', mode: 'paper' }, wake: () => {} })
  return { ear, venue, watched, streams, heard }
}

const traded = (...symbols: string[]) => symbols.map((symbol) => ({ symbol, held: symbol === 'AAPL' }))
const NONE = { quotes: [], trades: [] }

test('bars are asked for when other symbols are traded, and anew of a stream that was opened anew', async () => {
  const { ear, venue, watched } = opened()
  ear.watch(traded('BTC/USD'))
  expect(watched).toEqual([])
  ear.listen(venue)
  for (const symbols of [['AAPL', 'BTC/USD'], ['BTC/USD', 'AAPL'], ['BTC/USD'], []]) ear.watch(traded(...symbols))
  expect(watched).toEqual([['AAPL', 'BTC/USD'], NONE, ['BTC/USD'], NONE, [], NONE])
  ear.watch(traded('BTC/USD'))
  await ear.reopen('it was silent')
  ear.listen(venue)
  ear.watch(traded('BTC/USD'))
  expect(watched.slice(6)).toEqual([['BTC/USD'], NONE, ['BTC/USD'], NONE])
})

test.each([
  ['bars', NONE],
  ['quotes', { quotes: ['AAPL'], trades: [] }],
  ['trades', { quotes: ['AAPL'], trades: ['AAPL'] }],
] as const)('who follows %s asks for no more of what is held', (follows, ticks) => {
  const { ear, venue, watched } = opened(follows)
  ear.listen(venue)
  ear.watch(traded('AAPL', 'BTC/USD'))
  expect(watched).toEqual([['AAPL', 'BTC/USD'], ticks])
})

test('what is pushed of watched symbols is handed on, but not what a stream says that was closed', async () => {
  const { ear, venue, streams, heard } = opened()
  ear.listen(venue)
  streams[0]?.onBar(PUSHED)
  expect(heard).toEqual([])
  ear.watch(traded('BTC/USD'))
  streams[0]?.onBar(PUSHED)
  streams[0]?.onQuote?.({ symbol: 'BTC/USD', at: 1, bid: '1', ask: '2' })
  streams[0]?.onTrade?.({ symbol: 'BTC/USD', at: 2, price: '1', size: '2' })
  streams[0]?.onTrade?.({ symbol: 'AAPL', at: 2, price: '1', size: '2' })
  await ear.reopen('it was silent')
  streams[0]?.onBar(PUSHED)
  expect(heard).toEqual([
    { kind: 'bar', ...PUSHED },
    { kind: 'quote', symbol: 'BTC/USD', at: 1, bid: '1', ask: '2' },
    { kind: 'trade', symbol: 'BTC/USD', at: 2, price: '1', size: '2' },
  ])
})
