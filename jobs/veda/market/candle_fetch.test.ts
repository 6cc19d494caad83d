import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Write } from '../../../db/walle/outcome.ts'
import { candleRange, listDatasets } from '../../../db/walle/queries/candles.ts'
import { getCandleFetch } from '../../../db/walle/queries/market.ts'
import { createRecorder, record } from '../../../db/walle/record.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { createScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { type CandleFetchRequest, createCandleFetchCommands } from '../../glados/candle_fetches.ts'
import type { Venues } from '../../live/live.ts'
import { type BarRequest, type Venue, type VenueBar, VenueError } from '../venue.ts'
import { fetchCandlePage } from './candle_fetch.ts'

const MINUTE = 60_000
const NOW = Date.parse('2026-03-02T00:00:30Z')
const START = Date.parse('2026-01-01T00:00:00Z')
let database: TestDatabase
let symbols = 0
let S = ''
let asked: BarRequest[]
let answer: (request: BarRequest) => Promise<VenueBar[]>
let configured: { exchange: string; mode: 'paper' | 'live' }[]

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await database.drop()
})
beforeEach(() => {
  S = `F${++symbols}/USD`
  asked = []
  answer = async ({ start, end }) => minutesOf(start, end)
  configured = [{ exchange: 'scripted', mode: 'paper' }]
})

/** A bar every ten minutes, also one that is forming. */
function minutesOf(start: number, end: number): VenueBar[] {
  const bars: VenueBar[] = []
  for (let time = start; time <= end + MINUTE; time += MINUTE) {
    const prices = { open: '1', high: '3', low: '0.5', close: '2.25', volume: '7', trade_count: null }
    if (time % (10 * MINUTE) === 0 || time > end) bars.push({ time, ...prices })
  }
  return bars
}

const commands = () =>
  createCandleFetchCommands({
    recorder: createRecorder(database.db),
    reader: database.db.reader,
    configured: () => configured,
    now: () => NOW,
    newId: randomUUID,
  })

const wanted = (changes: Partial<CandleFetchRequest> = {}): CandleFetchRequest => ({
  ...{ symbol: S, timeframe: '1m', start: new Date(START).toISOString() },
  ...changes,
})

class PutBack extends Error {}
const delays: number[] = []
const job = {
  signal: new AbortController().signal,
  finish: async () => {},
  putBack: async (delayMs: number): Promise<never> => {
    delays.push(delayMs)
    throw new PutBack()
  },
}

const scripted = createScriptedVenue({ now: () => NOW })
const venue: Venue = {
  ...scripted,
  async bars(request) {
    asked.push(request)
    return answer(request)
  },
}
const page = (fetch_id: string) =>
  fetchCandlePage(
    { db: database.db, venues: { get: async () => venue } as unknown as Venues, now: () => NOW },
    { fetch_id },
    job,
  )

const mustGet = async (id: string) =>
  (await getCandleFetch(database.db.reader, id)) as NonNullable<Awaited<ReturnType<typeof getCandleFetch>>>

async function finish(id: string) {
  for (let pages = 0; pages < 50; pages++) {
    const row = await mustGet(id)
    if (row.status !== 'running') return row
    await page(id)
  }
  throw new Error('the fetch does not end')
}

test('a range is fetched in pages and stored once, with where it comes from, and never a bar that is not closed', async () => {
  const row = await finish((await commands().fetchCandles(wanted())).id)
  const minutes = (NOW - 30_000 - START) / MINUTE
  expect(row).toMatchObject({ status: 'completed', feed: venue.feedOf('BTC/USD'), stored: minutes / 10, error: null })
  expect(asked.length).toBe(Math.ceil(minutes / 20_000))
  expect(await candleRange(database.db.reader, S, '1m')).toEqual({
    first: START,
    last: NOW - 30_000 - 10 * MINUTE,
    bars: minutes / 10,
  })
  const [set] = (await listDatasets(database.db.reader)).filter(({ symbol }) => symbol === S)
  expect(set).toMatchObject({ adjustment: 'raw', feed: venue.feedOf('BTC/USD') })
  // Again: nothing changes.
  const again = await finish((await commands().fetchCandles(wanted())).id)
  expect(again).toMatchObject({ stored: 0, revised: 0, unchanged: minutes / 10 })
})

test('whoever goes on after a crash goes on at the page that was not stored', async () => {
  const { id } = await commands().fetchCandles(wanted())
  await page(id)
  const { next_time } = await mustGet(id)
  asked = []
  // Two workers at once: one of them stores it.
  await Promise.all([page(id), page(id)])
  // The slower one may find the page stored, and ask for the one after it.
  expect(asked[0]?.start).toBe(Date.parse(next_time))
  const row = await finish(id)
  expect(row).toMatchObject({ status: 'completed', unchanged: 0 })
})

test('what is under way is not begun twice', async () => {
  const first = await commands().fetchCandles(wanted())
  expect((await commands().fetchCandles(wanted())).id).toBe(first.id)
  await expect(commands().fetchCandles(wanted({ start: '2026-02-01T00:00:00Z' }))).rejects.toMatchObject({
    code: 'CONFLICT',
  })
})

test('a fetch that was cancelled stores nothing more', async () => {
  const { id } = await commands().fetchCandles(wanted())
  answer = async ({ start, end }) => {
    await commands().cancelCandleFetch(id)
    return minutesOf(start, end)
  }
  await page(id)
  expect(await mustGet(id)).toMatchObject({ status: 'cancelled', stored: 0 })
  expect(await candleRange(database.db.reader, S, '1m')).toBeNull()
})

test('an exchange that is away is waited for, and one that refuses ends the fetch with its words', async () => {
  const { id } = await commands().fetchCandles(wanted())
  answer = async () => Promise.reject(new VenueError('rate_limited', 'too many requests', { retryAfterMs: 7_000 }))
  await expect(page(id)).rejects.toThrow(PutBack)
  expect(delays.at(-1)).toBe(7_000)
  expect(await mustGet(id)).toMatchObject({ status: 'running', error: 'too many requests' })
  answer = async () => Promise.reject(new VenueError('refused', 'this subscription has no such data'))
  await page(id)
  expect(await mustGet(id)).toMatchObject({ status: 'error', error: 'this subscription has no such data' })
})

test('candles from elsewhere are not mixed with', async () => {
  const candle = { time: START, open: '5', high: '5', low: '5', close: '5', volume: '5', trade_count: null }
  const other = { ...candle, time: START - MINUTE }
  const write = { kind: 'store_candles', symbol: S, timeframe: '1m', candles: [other, candle] } satisfies Write
  await database.db.write((tx) => record(tx, { writes: [write], events: [] }))
  const { id } = await commands().fetchCandles(wanted())
  await page(id)
  const row = await mustGet(id)
  expect(row.status).toBe('error')
  expect(row.error).toContain('holds 2 candles with feed import')
  expect(await candleRange(database.db.reader, S, '1m')).toMatchObject({ bars: 2 })
})

test.each([
  ['a range that is over before it begins', { start: '2026-02-01T00:00:00Z', end: '2026-01-01T00:00:00Z' }, 'start'],
  ['the future', { start: '2027-01-01T00:00:00Z' }, 'start'],
  ['too much', { start: '1990-01-01T00:00:00Z' }, 'start'],
  ['a bad symbol', { symbol: 'BTC USD' }, 'symbol'],
  ['an unknown exchange', { exchange: 'nowhere' }, 'exchange'],
  ['adjusted crypto', { adjustment: 'split' as const }, 'adjustment'],
])('%s is refused, and the field named', async (_, changes, path) => {
  const refused = await commands()
    .fetchCandles(wanted(changes))
    .catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'VALIDATION_ERROR', details: { issues: [{ path }] } })
})

test('of several exchanges one has to be said, but the simulator is never meant by silence', async () => {
  configured = [
    { exchange: 'sim', mode: 'paper' },
    { exchange: 'scripted', mode: 'live' },
  ]
  expect(await commands().fetchCandles(wanted())).toMatchObject({ exchange: 'scripted', mode: 'live' })
  configured.push({ exchange: 'other', mode: 'paper' })
  await expect(commands().fetchCandles(wanted())).rejects.toThrow('say from which exchange: sim, scripted, other')
})
