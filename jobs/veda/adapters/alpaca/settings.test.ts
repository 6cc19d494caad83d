import { expect, test } from 'vitest'
import { addressOf, readSettings } from './settings.ts'

const KEYS = { ALPACA_PAPER_API_KEY: 'PKTEST', ALPACA_PAPER_API_SECRET: 'very secret words' }

test('without keys a mode is not configured, and with them everything else has its default', () => {
  expect(readSettings({}, 'paper')).toBeNull()
  expect(readSettings(KEYS, 'live')).toBeNull()
  expect(readSettings(KEYS, 'paper')).toEqual({
    key: 'PKTEST',
    secret: 'very secret words',
    tradingUrl: 'https://paper-api.alpaca.markets',
    dataUrl: 'https://data.alpaca.markets',
    tradeStreamUrl: 'wss://paper-api.alpaca.markets/stream',
    dataStreamUrl: 'wss://stream.data.alpaca.markets',
    feed: 'iex',
  })
  expect(readSettings({ ALPACA_LIVE_API_KEY: 'AK', ALPACA_LIVE_API_SECRET: 's' }, 'live')).toMatchObject({
    tradingUrl: 'https://api.alpaca.markets',
    tradeStreamUrl: 'wss://api.alpaca.markets/stream',
  })
})

test('streams are where the REST is, and a version at the end of an address is dropped', () => {
  const env = { ...KEYS, ALPACA_PAPER_BASE_URL: 'http://127.0.0.1:9/v2/', ALPACA_DATA_BASE_URL: 'http://127.0.0.1:9' }
  const settings = readSettings(env, 'paper')
  expect(settings).toMatchObject({
    tradingUrl: 'http://127.0.0.1:9',
    tradeStreamUrl: 'ws://127.0.0.1:9/stream',
    dataStreamUrl: 'ws://127.0.0.1:9',
  })
  expect(settings && addressOf(settings, 'paper')).toEqual({ host: '127.0.0.1:9', custom_host: true, doubts: [] })
  const own = readSettings(KEYS, 'paper')
  expect(own && addressOf(own, 'paper')).toEqual({ host: 'paper-api.alpaca.markets', custom_host: false, doubts: [] })
  const fake = readSettings({ ...KEYS, ALPACA_PAPER_BASE_URL: 'https://alpaca.markets.example.com' }, 'paper')
  expect(fake && addressOf(fake, 'paper')).toMatchObject({ host: 'alpaca.markets.example.com', custom_host: true })
})

test('keys of the other kind of account are doubted by name, and not shown', () => {
  const of = (mode: 'paper' | 'live', key: string) => {
    const name = `ALPACA_${mode.toUpperCase()}_API`
    const settings = readSettings({ [`${name}_KEY`]: key, [`${name}_SECRET`]: 's' }, mode)
    return settings && addressOf(settings, mode).doubts
  }
  expect(of('paper', 'AK12345')).toEqual([
    'ALPACA_PAPER_API_KEY looks like a key of live trading (it begins with AK): take the keys of the paper account',
  ])
  expect(of('live', 'PK12345')).toEqual([
    'ALPACA_LIVE_API_KEY looks like a key of paper trading (it begins with PK): take the keys of the live account',
  ])
  expect([of('paper', 'PK12345'), of('live', 'AK12345'), of('live', 'CK12345')]).toEqual([[], [], []])
})

test('paper trading can not be led to the live host, nor live trading to the paper host', () => {
  expect(() => readSettings({ ...KEYS, ALPACA_PAPER_BASE_URL: 'https://api.alpaca.markets' }, 'paper')).toThrow(
    'ALPACA_PAPER_BASE_URL is the host of live trading; ALPACA_PAPER_STREAM_URL is the host of live trading',
  )
  const live = { ALPACA_LIVE_API_KEY: 'AK', ALPACA_LIVE_API_SECRET: 's' }
  expect(() =>
    readSettings({ ...live, ALPACA_LIVE_STREAM_URL: 'wss://paper-api.alpaca.markets/stream' }, 'live'),
  ).toThrow('ALPACA_LIVE_STREAM_URL is the host of paper trading')
})

test('every problem is named at once, and no secret', () => {
  const env = {
    ALPACA_PAPER_API_SECRET: 'very secret words',
    ALPACA_PAPER_BASE_URL: 'ftp://x',
    ALPACA_DATA_BASE_URL: 'http://data.example.com',
    ALPACA_DATA_STREAM_URL: 'wss://user:password@x',
    ALPACA_DATA_FEED: 'otc',
  }
  const problem = (() => {
    try {
      return String(readSettings(env, 'paper'))
    } catch (error) {
      return (error as Error).message
    }
  })()
  expect(problem).toBe(
    [
      'ALPACA_PAPER_API_KEY is missing (ALPACA_PAPER_API_SECRET is set)',
      'ALPACA_PAPER_BASE_URL must begin with https://',
      'ALPACA_DATA_BASE_URL must be encrypted (https or wss): keys are sent there',
      'ALPACA_DATA_STREAM_URL must be a host and a path, no more',
      'ALPACA_DATA_FEED must be iex or sip',
    ].join('; '),
  )
})
