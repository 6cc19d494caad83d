import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { append } from '../../db/events/append.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import { getEvent } from '../../db/events/read.ts'
import type { Write } from '../../db/walle/outcome.ts'
import { listCandles } from '../../db/walle/queries/candles.ts'
import { record } from '../../db/walle/record.ts'
import { thin } from '../../db/walle/retention.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { FetchRequest } from '../../strategies/api.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { boundary, emitTick, LIVE_START, mustGet, startLiveRun, toldBy } from '../../tests/support/live_run.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../tests/support/scripted_venue.ts'
import { pause } from '../../tests/support/until.ts'
import { wallClock } from '../glados/clock.ts'
import { type BarCache, type BarCacheOptions, createBarCache } from '../veda/market/bar_cache.ts'
import { type BarRequest, type VenueBar, VenueError } from '../veda/venue.ts'
import { type FetchJobs, fetchWindow } from './fetch.ts'
import { newLiveCheckpoint } from './ticks.ts'
import { readWindows, type WindowEvent } from './view.ts'

const MINUTE = 60_000
let database: TestDatabase
let runs = 0
let symbols = 0
/** A series of its own for each test: what one stores is nothing to the next. */
let S = ''
let now = 0
let venue: ScriptedVenue
let asked: BarRequest[]
/** The bars that there are, and since when. */
let market: (VenueBar & { from: number })[]
let trouble: VenueError | null
let bars: BarCache

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await database.drop()
})
beforeEach(() => {
  S = `S${++symbols}/USD`
  asked = []
  market = []
  trouble = null
  now = LIVE_START
  const scripted = createScriptedVenue({ now: () => now })
  venue = {
    ...scripted,
    async bars(request) {
      asked.push(request)
      if (trouble) throw trouble
      const { symbol, start, end } = request
      return symbol === S ? market.filter(({ time, from }) => from <= now && time >= start && time <= end) : []
    },
  }
  bars = freshCache()
})

const recorded: FetchJobs['record'] = async (tx, { events, jobs: _, ...rest }) => {
  // Without the jobs that they would set off.
  await record(tx, { ...rest, events: [] })
  await append(tx, events, { route: false })
}
const freshCache = (changes: Partial<BarCacheOptions> = {}) =>
  createBarCache({ ...wallClock, db: database.db, record: recorded, now: () => now, log: () => {}, ...changes })

function trade(minute: number, close: string, changes: Partial<VenueBar & { from: number }> = {}) {
  const time = LIVE_START + minute * MINUTE
  const prices = { open: '100.10', high: '101.3', low: '99.000000001', close, volume: '5.5', trade_count: '3' }
  market.push({ time, ...prices, from: time + MINUTE, ...changes })
}

const nextRun = (changes = {}): Promise<RunRow> => startLiveRun(database.db, ++runs, { symbols: [S], ...changes })

async function command(run: RunRow, barIndex: number, requests?: FetchRequest[]): Promise<NewEvent> {
  await emitTick(database.db, run, barIndex, requests && { requests })
  return (await getEvent(database.db.reader, tickEventId(run.id, barIndex, 2))) as NewEvent
}

class PutBack extends Error {}

/** Runs the job until it is done, time going on while it is put back. Gives how long after `from` that was. */
async function fetched(run: RunRow, event: NewEvent, from: number, jobs: Partial<FetchJobs> = {}): Promise<number> {
  now = Math.max(now, from)
  for (;;) {
    let finished = 0
    const job = {
      signal: new AbortController().signal,
      finish: async () => {
        finished += 1
      },
      putBack: async (delayMs: number): Promise<never> => {
        now += delayMs
        throw new PutBack()
      },
    }
    const all: FetchJobs = {
      db: database.db,
      record: recorded,
      venues: { get: async () => venue } as unknown as FetchJobs['venues'],
      now: () => now,
      log: () => {},
      bars,
      ...jobs,
    }
    try {
      await fetchWindow(all, { run_id: run.id, event_id: event.id }, job)
      expect(finished).toBe(1)
      return now - from
    } catch (error) {
      if (!(error instanceof PutBack)) throw error
    }
  }
}

async function shown(run: RunRow, barIndex: number) {
  const events = (await toldBy(database.db, run.id)) as WindowEvent[]
  const event = events.find(
    ({ type, payload }) =>
      (type === 'data.WindowReady' || type === 'data.WindowComplete') && payload.bar_index === barIndex,
  )
  return (await readWindows(database.db.reader, event as WindowEvent)).shown
}

async function closes(run: RunRow, barIndex: number): Promise<number[][]> {
  return (await shown(run, barIndex)).map(({ columns }) => [...columns.close])
}

/** As the hop does it that follows. */
async function heard(run: RunRow, barIndex: number): Promise<void> {
  const told = (await toldBy(database.db, run.id)).findLast(({ type }) => type === 'data.WindowReady') as NewEvent
  const windows = await shown(run, barIndex)
  const state = newLiveCheckpoint()
  for (const { symbol, timeframe, columns } of windows) {
    state.told[`${symbol} ${timeframe}`] = { newest: columns.time.at(-1) as number, event: told.id }
  }
  const write = { kind: 'save_checkpoint', run_id: run.id, next_tick: barIndex + 1, state } as const
  await database.db.write((tx) => record(tx, { writes: [write], events: [] }))
}

const waits = (run: RunRow) =>
  database.db.reader.query<{ in_hand_ms: number; missing: string[]; late: number }>(
    'select in_hand_ms, missing, late from weaver.window_waits where run_id = $1 order by bar_index',
    [run.id],
  )

test.each([
  ['at once', 0, 0],
  ['a second late', 1_000, 1_000],
  ['at the very end of the wait', 4_900, 5_000],
])('a bar that comes %s is waited for', async (_, late, mostWaited) => {
  const run = await nextRun()
  trade(-2, '1')
  trade(-1, '2', { from: LIVE_START + late })
  const waited = await fetched(run, await command(run, 0), boundary(run, 0))
  expect(waited).toBeGreaterThanOrEqual(late)
  expect(waited).toBeLessThanOrEqual(mostWaited + 200)
  expect(await closes(run, 0)).toEqual([[1, 2]])
  expect(await waits(run)).toEqual([{ in_hand_ms: waited, missing: [], late: 0 }])
})

test('a bar that comes 6 s late is not waited for, is seen at the next tick, and is counted', async () => {
  const run = await nextRun()
  for (const minute of [-3, -2]) trade(minute, String(minute + 10))
  trade(-1, '9', { from: LIVE_START + 6_000 })
  expect(await fetched(run, await command(run, 0), boundary(run, 0))).toBe(5_000)
  expect(await closes(run, 0)).toEqual([[7, 8]])
  trade(0, '10')
  expect(await fetched(run, await command(run, 1), boundary(run, 1))).toBe(0)
  expect(await closes(run, 1)).toEqual([[9, 10]])
  expect(await waits(run)).toEqual([
    { in_hand_ms: 5_000, missing: [`${S} 1m`], late: 0 },
    { in_hand_ms: 0, missing: [], late: 1 },
  ])
  expect((await mustGet(database.db, run.id)).cautions).toEqual(['bars that came too late for their tick: 1'])
  const drop = (before: number) =>
    thin(database.db, 'window_waits', { expired: new Date(before).toISOString(), auditedSince: null })
  // By the database's clock.
  await drop(Date.now() - MINUTE)
  expect(await waits(run)).toHaveLength(2)
  await drop(Date.now() + MINUTE)
  expect(await waits(run)).toEqual([{ in_hand_ms: 0, missing: [], late: 1 }])
  await database.db.write((tx) => tx.execute(`update weaver.runs set status = 'stopped' where id = $1`, [run.id]))
  await drop(Date.now() + MINUTE)
  expect(await waits(run)).toEqual([])
})

test('the wait is the run’s own', async () => {
  const run = await nextRun({ bar_wait_ms: 0 })
  trade(-2, '1')
  expect(await fetched(run, await command(run, 0), boundary(run, 0))).toBe(0)
  expect(await closes(run, 0)).toEqual([[1]])
})

test('a minute in which nothing was traded is no late bar, and is not made up', async () => {
  const run = await nextRun()
  trade(-2, '1')
  trade(-1, '2')
  await fetched(run, await command(run, 0), boundary(run, 0))
  expect(await fetched(run, await command(run, 1), boundary(run, 1))).toBe(5_000)
  trade(1, '4')
  expect(await fetched(run, await command(run, 2), boundary(run, 2))).toBe(0)
  expect(await closes(run, 1)).toEqual([[1, 2]])
  expect(await closes(run, 2)).toEqual([[2, 4]])
  expect((await waits(run)).map(({ late }) => late)).toEqual([0, 0, 0])
})

test('a bar that is still forming is never shown', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1, 0]) trade(minute, String(minute), { from: 0 })
  await fetched(run, await command(run, 0), boundary(run, 0))
  const [window] = await shown(run, 0)
  expect([...(window?.columns.time ?? [])]).toEqual([LIVE_START - 2 * MINUTE, LIVE_START - MINUTE])
})

test('a bar that was corrected shows its new values from then on, and the log says so', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  await fetched(run, await command(run, 0), boundary(run, 0))
  market = market.map((one) => (one.time === LIVE_START - MINUTE ? { ...one, close: '7' } : one))
  trade(0, '2')
  await fetched(run, await command(run, 1), boundary(run, 1))
  expect(await closes(run, 0)).toEqual([[1, 1]])
  expect(await closes(run, 1)).toEqual([[7, 2]])
  await bars.store(venue, [{ symbol: S, timeframe: '1m', bars: 2 }])
  const told = await database.db.reader.query<{ payload: { payload: unknown } }>(
    `select payload from weaver.outbox where type = 'data.CandlesRevised' and payload->'payload'->>'symbol' = $1`,
    [S],
  )
  const revised = new Date(LIVE_START - MINUTE).toISOString()
  expect(told.map(({ payload }) => payload.payload)).toEqual([
    { symbol: S, timeframe: '1m', revised: 1, first: revised, last: revised },
  ])
})

test('runs on one symbol share what is asked for', async () => {
  const [one, two] = [await nextRun(), await nextRun()]
  for (const minute of [-3, -2, -1]) trade(minute, String(minute))
  const events = [await command(one, 0), await command(two, 0, [{ symbol: S, timeframe: '1m', bars: 2 }])]
  await Promise.all([fetched(one, events[0] as NewEvent, LIVE_START), fetched(two, events[1] as NewEvent, LIVE_START)])
  expect(asked).toHaveLength(1)
  expect(await closes(one, 0)).toEqual(await closes(two, 0))
})

test('a job that runs twice, or in two workers at once, tells the windows once', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  const event = await command(run, 0)
  await Promise.all([fetched(run, event, LIVE_START), fetched(run, event, LIVE_START)])
  await fetched(run, event, LIVE_START)
  const told = (await toldBy(database.db, run.id)).filter(({ type }) => type === 'data.WindowReady')
  expect(told).toMatchObject([
    { id: tickEventId(run.id, 0, 3), producer: 'veda', causation_id: event.id, corr_id: tickEventId(run.id, 0, 0) },
  ])
})

test('the log holds the bars to the bit, in parts where they are many', async () => {
  const run = await nextRun()
  const wanted = 1_500
  for (let minute = -wanted; minute < 0; minute++) trade(minute, String(1 / (minute + 0.1)))
  await fetched(run, await command(run, 0, [{ symbol: S, timeframe: '1m', bars: wanted }]), LIVE_START)
  expect(await closes(run, 0)).toEqual([market.map(({ close }) => Number(close))])
  const types = (await toldBy(database.db, run.id)).map(({ type }) => type)
  expect(types.filter((type) => type === 'data.WindowChunk')).toHaveLength(3)
  // The ids of what comes after count on these.
  const complete = (await toldBy(database.db, run.id)).find(({ type }) => type === 'data.WindowComplete')
  expect(complete?.id).toBe(tickEventId(run.id, 0, 3 + 3))
})

test('more than goes into the log is stored first, and referred to', async () => {
  const run = await nextRun()
  const wanted = 14_500
  for (let minute = -wanted; minute < 0; minute++) trade(minute, String(minute))
  await fetched(run, await command(run, 0, [{ symbol: S, timeframe: '1m', bars: wanted }]), LIVE_START)
  expect((await closes(run, 0))[0]).toHaveLength(wanted)
  const told = (await toldBy(database.db, run.id)).filter(({ type }) => type.startsWith('data.'))
  expect(told).toHaveLength(1)
})

test('a process that starts goes on from what was stored, and asks for the rest only', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  await fetched(run, await command(run, 0), boundary(run, 0))
  bars = freshCache()
  asked = []
  trade(0, '2')
  await fetched(run, await command(run, 1), boundary(run, 1))
  expect(asked).toMatchObject([{ start: LIVE_START - 2 * MINUTE, end: LIVE_START }])
  expect(await closes(run, 1)).toEqual([[1, 2]])
})

test('what somebody else imported is neither shown nor touched', async () => {
  const run = await nextRun()
  const time = LIVE_START - MINUTE
  const candle = { time, open: '5', high: '5', low: '5', close: '5', volume: '5', trade_count: null }
  const write = { kind: 'store_candles', symbol: S, timeframe: '1m', candles: [candle] } satisfies Write
  await database.db.write((tx) => record(tx, { writes: [write], events: [] }))
  for (const minute of [-2, -1]) trade(minute, '1')
  await fetched(run, await command(run, 0), boundary(run, 0))
  expect(await closes(run, 0)).toEqual([[1, 1]])
  expect(await listCandles(database.db.reader, { symbol: S, timeframe: '1m', limit: 9 })).toMatchObject([
    { close: '5' },
  ])
})

test('while the venue is away a tick has the old window, and later ones all bars again', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  await fetched(run, await command(run, 0), boundary(run, 0))
  trouble = new VenueError('unavailable', '503')
  trade(0, '2')
  expect(await fetched(run, await command(run, 1), boundary(run, 1))).toBe(5_000)
  expect(await closes(run, 1)).toEqual([[1, 1]])
  trouble = null
  trade(1, '3')
  await fetched(run, await command(run, 2), boundary(run, 2))
  expect(await closes(run, 2)).toEqual([[2, 3]])
  const refused = new VenueError('unauthorised', 'no credentials')
  const away = { venues: { get: async () => Promise.reject(refused) } as unknown as FetchJobs['venues'] }
  await heard(run, 2)
  // What its strategy saw once never shrinks to nothing: no backtest has that either.
  expect(await fetched(run, await command(run, 3), boundary(run, 3), away)).toBe(5_000)
  expect(await closes(run, 3)).toEqual([[2, 3]])
})

test('what one worker has told another that knows less does not take back', async () => {
  const run = await nextRun()
  for (const minute of [-3, -2, -1]) trade(minute, String(minute + 10))
  const [one, other] = [freshCache(), freshCache()]
  await other.gather(venue, [{ symbol: S, timeframe: '1m', bars: 2 }], LIVE_START)
  trade(0, '10')
  bars = one
  await fetched(run, await command(run, 0), boundary(run, 1))
  await fetched(run, await command(run, 1), boundary(run, 1))
  await heard(run, 1)
  trouble = new VenueError('unavailable', '503')
  for (const [tick, cache] of [other, one, other].entries()) {
    bars = cache
    await fetched(run, await command(run, tick + 2), boundary(run, tick + 2))
    expect(await closes(run, tick + 2)).toEqual([[9, 10]])
  }
})

test('a venue that hangs keeps a tick no longer than its wait, and no worker longer than a moment', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  const { bars: answers } = venue
  const hangs: (() => void)[] = []
  venue.bars = (request) => new Promise((resolve) => hangs.push(() => resolve(answers(request))))
  const holds: number[] = []
  bars = freshCache({
    sleep: async (ms) => {
      holds.push(ms)
      // The database answers by the wall's clock.
      await pause(50)
      now += ms
    },
  })
  expect(await fetched(run, await command(run, 0), boundary(run, 0))).toBe(5_000)
  expect(await closes(run, 0)).toEqual([[]])
  expect(hangs).toHaveLength(1)
  // For what is stored, and for the venue.
  expect(holds.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(2 * 500)
  // The question went on: its answer is there for the next tick, which asks for the rest.
  for (const answer of hangs) answer()
  venue.bars = answers
  trade(0, '2')
  await fetched(run, await command(run, 1), boundary(run, 1))
  expect(await closes(run, 1)).toEqual([[1, 2]])
})

test('a minute in which nothing was traded ends its wait though each answer takes longer than the pause between two', async () => {
  const run = await nextRun()
  for (const minute of [-3, -2]) trade(minute, '1')
  const { bars: answers } = venue
  venue.bars = async (request) => {
    now += 1_200
    return answers(request)
  }
  const waited = await fetched(run, await command(run, 0), boundary(run, 0))
  expect(waited).toBeGreaterThanOrEqual(5_000)
  expect(waited).toBeLessThanOrEqual(6_200)
  expect(await closes(run, 0)).toEqual([[1, 1]])
})

test('each tick that is caught up with decides on its own bar', async () => {
  const run = await nextRun()
  for (let minute = -3; minute < 20; minute++) trade(minute, String(minute))
  now = boundary(run, 20)
  for (let tick = 0; tick < 6; tick++) {
    now += 250
    await fetched(run, await command(run, tick), now)
    expect(await closes(run, tick)).toEqual([[tick - 2, tick - 1]])
  }
  expect(asked).toHaveLength(1)
})

test('a tick that comes long after its wait waits for the answer all the same', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  const { bars: answers } = venue
  const comes = Promise.withResolvers<void>()
  venue.bars = async (request) => {
    await comes.promise
    return answers(request)
  }
  bars = freshCache({
    sleep: async () => {
      now += 500
      if (now > boundary(run, 3) + 2_000) comes.resolve()
    },
  })
  await fetched(run, await command(run, 0), boundary(run, 3))
  expect(await closes(run, 0)).toEqual([[1, 1]])
})

test('a bar of several minutes is told when its venue has all of it', async () => {
  const run = await nextRun({ timeframe: '5m', symbols: [S], window_bars: 1 })
  const slow: ScriptedVenue = { ...venue, features: { ...venue.features, barsSettleMs: 2_000 } }
  const time = LIVE_START - 5 * MINUTE
  slow.bars = async (request) => {
    asked.push(request)
    const { symbol, ...bar } = {
      symbol: S,
      time,
      open: '1',
      high: '1',
      low: '1',
      volume: '1',
      trade_count: null,
      close: '1',
    }
    return request.symbol === symbol ? [{ ...bar, close: now < LIVE_START + 1_000 ? '1' : '2' }] : []
  }
  const venues = { get: async () => slow } as unknown as FetchJobs['venues']
  // A run that waits less takes what there is, which is not missing.
  const hasty = await nextRun({ timeframe: '5m', symbols: [S], window_bars: 1, bar_wait_ms: 0 })
  expect(await fetched(hasty, await command(hasty, 0), boundary(hasty, 0), { venues })).toBe(0)
  expect(await closes(hasty, 0)).toEqual([[1]])
  expect(await waits(hasty)).toMatchObject([{ missing: [] }])
  const waited = await fetched(run, await command(run, 0), boundary(run, 0), { venues })
  expect(waited).toBeGreaterThanOrEqual(2_000)
  expect(waited).toBeLessThanOrEqual(2_200)
  expect(await closes(run, 0)).toEqual([[2]])
  expect(asked).toHaveLength(2)
})

test('where a year has fewer bars than are wanted the run says so', async () => {
  const run = await nextRun({ window_bars: 3 })
  trade(-1_000, '1')
  trade(-1, '2')
  const requests: FetchRequest[] = [{ symbol: S, timeframe: '1m', bars: 3 }]
  await fetched(run, await command(run, 0, requests), boundary(run, 0))
  expect(await closes(run, 0)).toEqual([[1, 2]])
  expect((await mustGet(database.db, run.id)).cautions).toEqual([
    `a year has fewer bars than the strategy wants: ${S} 1m`,
  ])
  await fetched(run, await command(run, 1, requests), boundary(run, 1))
  expect((await mustGet(database.db, run.id)).cautions).toHaveLength(1)
})

test('a venue that says when to come again is not asked before', async () => {
  const run = await nextRun()
  trade(-2, '1')
  trouble = new VenueError('rate_limited', '429', { retryAfterMs: 3_000 })
  await fetched(run, await command(run, 0), boundary(run, 0))
  expect(asked).toHaveLength(2)
})

test('a pushed bar is at hand without asking', async () => {
  const run = await nextRun()
  for (const minute of [-2, -1]) trade(minute, '1')
  await fetched(run, await command(run, 0), boundary(run, 0))
  asked = []
  now = boundary(run, 1)
  const { from: _, ...bar } = { ...(market[0] as (typeof market)[number]), time: LIVE_START, close: '2' }
  bars.heard(venue, { ...bar, symbol: S, timeframe: '1m' })
  expect(await fetched(run, await command(run, 1), boundary(run, 1))).toBe(0)
  expect(asked).toEqual([])
  expect(await closes(run, 1)).toEqual([[1, 2]])
})

test('a run that no longer runs is told nothing', async () => {
  const run = await nextRun()
  const event = await command(run, 0)
  const stopped = { kind: 'update_run', id: run.id, changes: { status: 'stopped' } } as const
  await database.db.write((tx) => record(tx, { writes: [stopped], events: [] }))
  expect(await fetched(run, event, LIVE_START)).toBe(0)
  expect((await toldBy(database.db, run.id)).map(({ type }) => type)).not.toContain('data.WindowReady')
})
