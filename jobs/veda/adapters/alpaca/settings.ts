/** Alpaca's part of the environment. */
import type { TradingMode, VenueAddress } from '../../venue.ts'

/** Exchanges whose prices the stock data has: IEX alone is free, SIP (all of them) wants a paid plan. */
export type StockFeed = 'iex' | 'sip'

export interface AlpacaSettings {
  key: string
  secret: string
  /** Without a slash at the end. */
  tradingUrl: string
  dataUrl: string
  tradeStreamUrl: string
  dataStreamUrl: string
  feed: StockFeed
}

type Environment = Readonly<Record<string, string | undefined>>

const PAPER_HOST = 'paper-api.alpaca.markets'
const LIVE_HOST = 'api.alpaca.markets'
const HOSTS: Readonly<Record<TradingMode, string>> = { paper: PAPER_HOST, live: LIVE_HOST }
const DATA_HOST = 'data.alpaca.markets'
const DATA_STREAM_HOST = 'stream.data.alpaca.markets'

/** Null without a key; throws every problem, never with a secret. */
export function readSettings(env: Environment, mode: TradingMode): AlpacaSettings | null {
  const prefix = `ALPACA_${mode.toUpperCase()}`
  const text = (name: string) => env[name]?.trim() || null
  const key = text(`${prefix}_API_KEY`)
  const secret = text(`${prefix}_API_SECRET`)
  if (key === null && secret === null) return null
  const problems: string[] = []
  if (key === null) problems.push(`${prefix}_API_KEY is missing (${prefix}_API_SECRET is set)`)
  if (secret === null) problems.push(`${prefix}_API_SECRET is missing (${prefix}_API_KEY is set)`)
  const url = (name: string, otherwise: string, protocols: RegExp) => {
    const given = text(name)
    const problem = given === null ? null : urlProblem(given, protocols)
    if (problem !== null) problems.push(`${name} ${problem}`)
    return given === null || problem !== null ? otherwise : tidy(given)
  }
  const tradingUrl = url(`${prefix}_BASE_URL`, `https://${HOSTS[mode]}`, /^https?:$/)
  const dataUrl = url('ALPACA_DATA_BASE_URL', `https://${DATA_HOST}`, /^https?:$/)
  const tradeStreamUrl = url(`${prefix}_STREAM_URL`, `${streamOf(tradingUrl)}/stream`, /^wss?:$/)
  const dataStreamUrl = url('ALPACA_DATA_STREAM_URL', dataStreamOf(dataUrl), /^wss?:$/)
  for (const [name, given] of [
    [`${prefix}_BASE_URL`, tradingUrl],
    [`${prefix}_STREAM_URL`, tradeStreamUrl],
  ] as const) {
    if (new URL(given).host === HOSTS[mode === 'paper' ? 'live' : 'paper']) {
      problems.push(`${name} is the host of ${mode === 'paper' ? 'live' : 'paper'} trading`)
    }
  }
  const feed = text('ALPACA_DATA_FEED') ?? 'iex'
  if (feed !== 'iex' && feed !== 'sip') problems.push('ALPACA_DATA_FEED must be iex or sip')
  if (problems.length > 0) throw new Error(problems.join('; '))
  return {
    key: key as string,
    secret: secret as string,
    tradingUrl,
    dataUrl,
    tradeStreamUrl,
    dataStreamUrl,
    feed: feed as StockFeed,
  }
}

/** How Alpaca's keys begin. It documents none of that, so it is no more than a hint. */
const KEY_PREFIXES: Readonly<Record<TradingMode, string>> = { paper: 'PK', live: 'AK' }

export function addressOf({ tradingUrl, key }: AlpacaSettings, mode: TradingMode): VenueAddress {
  const { host } = new URL(tradingUrl)
  const other = mode === 'paper' ? 'live' : 'paper'
  const doubts = key.startsWith(KEY_PREFIXES[other])
    ? [
        `ALPACA_${mode.toUpperCase()}_API_KEY looks like a key of ${other} trading (it begins with ${KEY_PREFIXES[other]}): take the keys of the ${mode} account`,
      ]
    : []
  return { host, custom_host: host !== 'alpaca.markets' && !host.endsWith('.alpaca.markets'), doubts }
}

function urlProblem(text: string, protocols: RegExp): string | null {
  if (!URL.canParse(text)) return 'must be a URL'
  const { protocol, username, password, search, hash, hostname } = new URL(text)
  if (!protocols.test(protocol)) return `must begin with ${protocols.test('https:') ? 'https' : 'wss'}://`
  if (username !== '' || password !== '' || search !== '' || hash !== '') return 'must be a host and a path, no more'
  const isLocal = ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)
  if (!isLocal && !protocol.endsWith('s:')) return 'must be encrypted (https or wss): keys are sent there'
  return null
}

/** Without the slash at the end, and without the version that every path begins with. */
const tidy = (url: string) => url.replace(/\/+$/, '').replace(/\/v2$/, '')

const streamOf = (url: string) => url.replace(/^http/, 'ws')

function dataStreamOf(dataUrl: string): string {
  const url = new URL(dataUrl)
  return url.host === DATA_HOST ? `wss://${DATA_STREAM_HOST}` : streamOf(dataUrl)
}
