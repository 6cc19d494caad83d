import { expect, test } from 'vitest'
import { createScriptedVenue } from '../tests/support/scripted_venue.ts'
import { Ear } from './account_ear.ts'
import type { Live } from './live.ts'
import type { StreamHandlers, Venue } from './veda/venue.ts'

const BAR = { time: 0, open: '1', high: '1', low: '1', close: '1', volume: '1', trade_count: null }
const PUSHED = { ...BAR, symbol: 'BTC/USD', timeframe: '1m', revised: false } as const

function opened() {
  const watched: string[][] = []
  const streams: StreamHandlers[] = []
  const heard: unknown[] = []
  const venue: Venue = {
    ...createScriptedVenue(),
    stream(handlers) {
      streams.push(handlers)
      return { watch: (symbols) => void watched.push([...symbols]), close: async () => {} }
    },
  }
  const live = {
    now: () => 0,
    log: () => {},
    heardBar: (_venue: Venue, bar: unknown) => void heard.push(bar),
  } as unknown as Live
  const apply = async () => Promise.reject(new Error('no order is told of'))
  const ear = new Ear({ live, apply, name: { exchange: 'scripted', mode: 'paper' }, wake: () => {} })
  return { ear, venue, watched, streams, heard }
}

test('bars are asked for when other symbols are traded, and anew of a stream that was opened anew', async () => {
  const { ear, venue, watched } = opened()
  ear.watch(['BTC/USD'])
  expect(watched).toEqual([])
  ear.listen(venue)
  for (const symbols of [['AAPL', 'BTC/USD'], ['BTC/USD', 'AAPL'], ['BTC/USD'], []]) ear.watch(symbols)
  expect(watched).toEqual([['AAPL', 'BTC/USD'], ['BTC/USD'], []])
  ear.watch(['BTC/USD'])
  await ear.reopen('it was silent')
  ear.listen(venue)
  ear.watch(['BTC/USD'])
  expect(watched.slice(3)).toEqual([['BTC/USD'], ['BTC/USD']])
})

test('a pushed bar is handed on, but not what a stream says that was closed', async () => {
  const { ear, venue, streams, heard } = opened()
  ear.listen(venue)
  streams[0]?.onBar(PUSHED)
  await ear.reopen('it was silent')
  streams[0]?.onBar(PUSHED)
  expect(heard).toEqual([PUSHED])
})
