import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Throttle } from '../../../db/events/throttle.ts'
import { listMarkedAccountPositions, listMarkedPositions } from '../../../db/walle/queries/marked.ts'
import { record } from '../../../db/walle/record.ts'
import type { RunRow } from '../../../db/walle/rows.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { createFastTime, type FastTime } from '../../../tests/support/fast_time.ts'
import { boundary, LIVE_START, mustGet, startLiveRun, toldBy } from '../../../tests/support/live_run.ts'
import { createScriptedVenue, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { until } from '../../../tests/support/until.ts'
import type { Live } from '../../live/live.ts'
import { newLiveCheckpoint } from '../../live/ticks.ts'
import { SAMPLE_EVERY_MS } from '../market_sample.ts'
import type { BarNews, MarketNews } from '../marks.ts'
import { createMarketWatch, MARK_EVERY_MS, type MarketWatch } from './watch.ts'

let database: TestDatabase
/** Of the wall clock, which somebody sets. */
let setBy = 0
let time: FastTime
let watch: MarketWatch
let market: ScriptedVenue
let held: string | null
let numbers = 0
/** An account of its own for each test. */
let exchange = ''
let logged: string[]
/** What the database is to do before it writes. */
let before: () => Promise<void>
let writes = 0

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

beforeEach(() => {
  exchange = `exchange ${++numbers}`
  time = createFastTime(LIVE_START)
  setBy = 0
  held = null
  logged = []
  before = async () => {}
  writes = 0
  market = createScriptedVenue()
  watch = open()
  return () => {
    time.release()
    return watch.stop()
  }
})

function open(): MarketWatch {
  const throttle: Throttle = async () => held
  const recorded: Live['record'] = async (tx, outcome) => {
    await before()
    writes += 1
    await record(tx, { ...outcome, jobs: [] })
  }
  let ids = 0
  return createMarketWatch({
    db: database.db,
    record: recorded,
    venues: { get: async () => market, configured: () => [], known: () => [], close: async () => {} },
    now: () => time.now() + setBy,
    sleep: time.sleep,
    newId: () => `${String(numbers).padStart(8, '0')}-0000-4000-8000-${String(++ids).padStart(12, '0')}`,
    log: (level, _fields, message) => void logged.push(`${level} ${message}`),
    follows: 'trades',
    throttle,
  })
}

const venue = () => createScriptedVenue({ exchange })
const hear = (...news: MarketNews[]) => {
  for (const one of news) watch.heard(venue(), one)
}
const quote = (bid: string, ask: string, at = time.now()): MarketNews => ({
  kind: 'quote',
  symbol: 'S/USD',
  at,
  bid,
  ask,
})
const trade = (price: string): MarketNews => ({ kind: 'trade', symbol: 'S/USD', at: time.now(), price, size: '0.5' })
const bar = (time: number, close: string, revised = false): BarNews => {
  const prices = { open: '90', high: '110', low: '80.0', close, volume: '1.50', trade_count: null }
  return { kind: 'bar', symbol: 'S/USD', timeframe: '1m', time, revised, ...prices }
}

async function mark() {
  const [row] = await database.db.reader.query<{ price: string; source: string; marked_at: string; dropped: number }>(
    'select price, source, marked_at, dropped from weaver.market_marks where exchange = $1',
    [exchange],
  )
  return row ? [row.price, row.source, Date.parse(row.marked_at) - LIVE_START, row.dropped] : null
}
const marked = (price: string) =>
  until(`a mark of ${price}`, async () => {
    const [found] = (await mark()) ?? []
    return found === price
  })

const events = () =>
  database.db.reader.query<{ type: string; run_id: string | null; payload: Record<string, unknown> }>(
    `select type, run_id, payload -> 'payload' as payload from weaver.outbox
     where type like 'market.%' and payload -> 'payload' ->> 'exchange' = $1 order by id`,
    [exchange],
  )

test('the newest price is a mark, and bars and samples of quotes and trades lie in the log', async () => {
  hear(bar(LIVE_START - 60_000, '100.10'))
  await marked('100.1')
  time.move(MARK_EVERY_MS)
  hear(quote('99', '103'), quote('100.2', '100.4'), trade('100.5'))
  await marked('100.5')
  const about = { exchange, mode: 'paper', symbol: 'S/USD' }
  const at = new Date(LIVE_START + MARK_EVERY_MS).toISOString()
  expect(await events()).toEqual([
    {
      type: 'market.Bar',
      run_id: null,
      payload: {
        ...{ ...about, at: '2026-03-02T00:00:00.000Z', timeframe: '1m', timestamp: '2026-03-01T23:59:00.000Z' },
        ...{ open: '90', high: '110', low: '80', close: '100.1', volume: '1.5', revised: false },
      },
    },
    { type: 'market.Quote', run_id: null, payload: { ...about, at, bid: '100.2', ask: '100.4' } },
    { type: 'market.Trade', run_id: null, payload: { ...about, at, price: '100.5', size: '0.5' } },
  ])
  expect(await mark()).toEqual(['100.5', 'trade', MARK_EVERY_MS, 0])
})

test('marks are written once a second, quotes told once in ten, however many there are', async () => {
  hear(quote('100', '100.2'))
  await marked('100.1')
  for (let n = 0; n < 5_000; n++) hear(quote('200', `200.${n + 1}`.slice(0, 8)))
  hear(quote('101', '101.2'))
  expect(await mark()).toEqual(['100.1', 'quote', 0, 0])
  time.move(MARK_EVERY_MS)
  await marked('101.1')
  expect([writes, (await events()).length]).toEqual([2, 1])
  time.move(SAMPLE_EVERY_MS)
  hear(quote('102', '102.2'))
  await marked('102.1')
  expect((await events()).map(({ payload }) => payload.bid)).toEqual(['100', '102'])
})

test('whoever keeps the account next tells no bar again and takes no mark back', async () => {
  hear(bar(LIVE_START - 120_000, '100'), bar(LIVE_START - 60_000, '101'))
  await marked('101')
  await watch.stop()
  time.move(MARK_EVERY_MS)
  watch = open()
  hear(bar(LIVE_START - 120_000, '100'))
  await until('it to be written', async () => writes === 2)
  expect(await mark()).toEqual(['101', 'bar', 0, 0])
  time.move(MARK_EVERY_MS)
  hear(bar(LIVE_START - 60_000, '102', true))
  await marked('102')
  expect((await events()).map(({ payload }) => [payload.close, payload.revised])).toEqual([
    ['100', false],
    ['101', false],
    ['102', true],
  ])
})

test('while the log is behind marks go on, and what is left out of it is counted', async () => {
  held = 'a consumer is behind'
  hear(bar(LIVE_START - 60_000, '100'), quote('100', '100.2'))
  await marked('100.1')
  expect([await mark(), await events()]).toEqual([['100.1', 'quote', 0, 2], []])
  held = null
  time.move(MARK_EVERY_MS)
  hear(bar(LIVE_START - 60_000, '100.5', true))
  await until('the correction to be told', async () => (await events()).length === 1)
  expect((await mark())?.[3]).toBe(2)
})

test('who tells never waits for the database: what comes meanwhile is overtaken by what is newer', async () => {
  const gate = Promise.withResolvers<void>()
  before = () => gate.promise
  hear(quote('100', '100.2'))
  for (let n = 0; n < 1_000; n++) {
    time.move(10)
    hear(quote('100', '100.2'), bar(LIVE_START - 60_000 * (n + 1), '100'), trade('100.3'))
  }
  expect(await mark()).toBeNull()
  gate.resolve()
  await marked('100.3')
  expect(writes).toBeLessThanOrEqual(3)
  // Twenty bars wait at the most.
  const bars = (await events()).filter(({ type }) => type === 'market.Bar').length
  expect([bars <= 20, bars + ((await mark())?.[3] as number)]).toEqual([true, 1_000])
})

test('a database that is away costs samples, no marks, and is told of once', async () => {
  before = () => Promise.reject(new Error('away'))
  hear(quote('100', '100.2'))
  await until('the failure', async () => logged.length > 0)
  time.move(MARK_EVERY_MS)
  before = async () => {}
  hear(quote('101', '101.2'))
  time.move(MARK_EVERY_MS)
  await marked('101.1')
  expect([logged.length, (await mark())?.[3], (await events()).length]).toEqual([1, 1, 0])
})

async function holding(qty: string, risk: RunRow['risk'], cash = '0'): Promise<RunRow> {
  const run = await startLiveRun(database.db, ++numbers + 1_000, { exchange, symbols: ['S/USD', 'T/USD'], risk })
  const position = { avg_price: '100', realised_pnl: '0', cost: String(Math.abs(Number(qty)) * 100), last_price: 100 }
  const ledger = { run_id: run.id, cash, fees: '0', turnover: '0', next_order: 0, next_fill: 0 }
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'save_positions', rows: [{ run_id: run.id, symbol: 'S/USD', qty, ...position }] },
        { kind: 'save_run_ledgers', rows: [{ ...ledger, trade_matcher: null, risk_watch: null, splits: null }] },
      ],
      events: [],
    }),
  )
  return run
}

async function haltOf(run: RunRow) {
  const rows = await database.db.reader.query<{ rule: string; reason: string; by: string }>(
    `select h.rule, h.reason, e.payload -> 'payload' ->> 'by' as by from weaver.halts h
     left join weaver.outbox e on e.run_id = h.run_id and e.type = 'system.Halted' where h.run_id = $1`,
    [run.id],
  )
  return rows
}

/** Marks that were looked at, so that a halt would be there. */
async function look(...news: MarketNews[]): Promise<void> {
  const done = writes + 1
  time.move(MARK_EVERY_MS)
  hear(...news)
  await until('the marks to be written', async () => writes >= done)
  await watch.stop()
  watch = open()
}

test('a bar between two ticks that breaks the daily loss halts the run at once', async () => {
  const run = await holding('10', { max_daily_loss: 50 })
  hear(bar(LIVE_START - 60_000, '95.1'))
  await marked('95.1')
  time.move(MARK_EVERY_MS)
  expect(await haltOf(run)).toEqual([])
  hear(bar(LIVE_START - 60_000, '95', true))
  await until('the halt', async () => (await haltOf(run)).length === 1)
  expect(await haltOf(run)).toEqual([
    { rule: 'max_daily_loss', reason: '50 was lost today, the limit is 50', by: 'max_daily_loss' },
  ])
  expect((await mustGet(database.db, run.id)).halted).toMatchObject({ rule: 'max_daily_loss' })
})

test('a quote that is wrong halts nothing: the next one has to say so too', async () => {
  const run = await holding('-10', { max_drawdown: 0.1 }, '2000')
  hear(quote('110', '110.2'))
  await marked('110.1')
  time.move(MARK_EVERY_MS)
  hear(quote('109', '109.2'))
  await marked('109.1')
  time.move(MARK_EVERY_MS)
  hear(quote('112', '112.2'))
  await marked('112.1')
  expect(await haltOf(run)).toEqual([])
  time.move(MARK_EVERY_MS)
  hear(quote('113', '113.2'))
  await until('the halt', async () => (await haltOf(run)).length === 1)
  expect(await haltOf(run)).toMatchObject([{ rule: 'max_drawdown' }])
})

async function tickDone(run: RunRow): Promise<void> {
  const ts = new Date(boundary(run, 0)).toISOString()
  const tick = { run_id: run.id, bar_index: 0, ts, event_id: null, missed_reason: null, drift_ms: 0, done_at: ts }
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'save_clock_ticks', rows: [tick] }], events: [] }))
}

test('a mark that is older than the newest tick counts for nothing', async () => {
  const run = await holding('10', { max_daily_loss: 50 })
  await tickDone(run)
  await look(bar(LIVE_START - 60_000, '1'))
  expect(await haltOf(run)).toEqual([])
  await look({ ...bar(LIVE_START - 60_000 + MARK_EVERY_MS, '1') })
  await until('the halt', async () => (await haltOf(run)).length === 1)
})

test('positions are worth what the market says, or the closes of the newest tick where these are newer', async () => {
  const run = await holding('-10', {})
  const account = { exchange, mode: 'paper' as const, symbol: 'S/USD' }
  const rest = {
    venue_qty: '-12',
    runs_qty: '-10',
    unattributed_qty: '-2',
    fee_adjustment: '0',
    paused_reason: null,
    paused_class: null,
    equal_at: null,
  }
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'save_account_positions', rows: [{ ...account, ...rest }] }], events: [] }),
  )
  const worth = async () => {
    const [own] = await listMarkedPositions(database.db.reader, run.id)
    const [all] = await listMarkedAccountPositions(database.db.reader, account)
    const of = (row: typeof own | typeof all) => [row?.last_price, row?.unrealised_pnl, row?.marked_at]
    expect(of(own)).toEqual(of(all))
    return of(own)
  }
  expect(await worth()).toEqual([100, '0', null])
  hear(bar(LIVE_START - 60_000, '99.5'))
  await marked('99.5')
  expect(await worth()).toEqual([99.5, '5', '2026-03-02T00:00:00.000Z'])
  await tickDone(run)
  expect(await worth()).toEqual([100, '0', '2026-03-02T00:00:00.000Z'])
  time.move(MARK_EVERY_MS)
  hear(trade('100.25'))
  await marked('100.25')
  expect(await worth()).toEqual([100.25, '-2.5', '2026-03-02T00:00:01.000Z'])
})

test('a wrong quote of one symbol halts nothing because another symbol moves, and a second one does', async () => {
  const run = await holding('10', { max_daily_loss: 50 }, '0')
  const other = { symbol: 'T/USD', qty: '1', avg_price: '100', realised_pnl: '0', cost: '100', last_price: 100 }
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'save_positions', rows: [{ run_id: run.id, ...other }] }], events: [] }),
  )
  hear(quote('80', '80.2'))
  await until('the first write', async () => writes >= 1)
  time.move(MARK_EVERY_MS)
  hear({ ...quote('99.9', '100.1'), symbol: 'T/USD' })
  await until('the second write', async () => writes >= 2)
  time.move(MARK_EVERY_MS)
  hear({ ...quote('99.9', '100.1'), symbol: 'T/USD' })
  await until('the third write', async () => writes >= 3)
  expect(await haltOf(run)).toEqual([])
  time.move(MARK_EVERY_MS)
  hear(quote('80', '80.2'))
  await until('the halt', async () => (await haltOf(run)).length > 0)
})

test('a clock that was an hour ahead and is set right keeps no limit from being looked at', async () => {
  const run = await holding('10', { max_daily_loss: 50 })
  setBy = 3_600_000
  hear(quote('100', '100.2'))
  await until('the first write', async () => writes >= 1)
  setBy = 0
  time.move(MARK_EVERY_MS)
  hear(bar(time.now() - 58_000, '50'))
  await until('the halt', async () => {
    time.move(MARK_EVERY_MS)
    return (await haltOf(run)).length > 0
  })
})

/** Of shares, with 10000 beside it, and what the account was found to hold of it. */
async function holdingShares(qty: string, risk: RunRow['risk']): Promise<RunRow> {
  const run = await startLiveRun(database.db, ++numbers + 1_000, {
    ...{ exchange, symbols: ['AAPL'], risk, initial_cash: '20000' },
  })
  const position = { avg_price: '100', realised_pnl: '0', cost: String(Number(qty) * 100), last_price: 100 }
  const ledger = { run_id: run.id, cash: '10000', fees: '0', turnover: '0', next_order: 0, next_fill: 0 }
  const account = {
    account_number: null,
    number_since: null,
    currency: 'USD',
    cash: '0',
    equity: '0',
    buying_power: '0',
  }
  const state = { state: 'ready', state_reason: null, blocked: null, keeper: 'test', stream: 'up' } as const
  const times = { reconcile_requested_at: null, checked_at: null, reconciled_at: null }
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'save_positions', rows: [{ run_id: run.id, symbol: 'AAPL', qty, ...position }] },
        { kind: 'save_run_ledgers', rows: [{ ...ledger, trade_matcher: null, risk_watch: null, splits: null }] },
        { kind: 'save_accounts', rows: [{ exchange, mode: 'paper', ...account, ...state, ...times }] },
      ],
      events: [],
    }),
  )
  return run
}

async function found(changes: { equal_at: string | null; paused_class?: string }): Promise<void> {
  const row = { exchange, mode: 'paper' as const, symbol: 'AAPL', venue_qty: '100', runs_qty: '100' }
  const rest = { unattributed_qty: '0', fee_adjustment: '0', paused_reason: null, paused_class: null, ...changes }
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'save_account_positions', rows: [{ ...row, ...rest }] }], events: [] }),
  )
}

const shares = (close: string): BarNews => ({ ...bar(time.now() - 60_000, close), symbol: 'AAPL' })
/** Looked at again, on the same watch. */
async function hearShares(close: string): Promise<void> {
  time.move(MARK_EVERY_MS)
  hear(shares(close))
  await until('the mark', async () => (await mark())?.[2] === time.now() - LIVE_START)
}
const askedAt = () =>
  until('it is asked', async () => {
    const [row] = await database.db.reader.query<{ at: string | null }>(
      'select reconcile_requested_at as at from weaver.accounts where exchange = $1',
      [exchange],
    )
    return row?.at
  })
const alarmsOf = async (run: RunRow) =>
  (await toldBy(database.db, run.id)).flatMap(({ type, payload }) =>
    type === 'system.Error' ? [(payload as { message: string }).message] : [],
  )

test('a crash of shares halts the run when the account was compared after it, and the data show no split', async () => {
  const run = await holdingShares('100', { max_drawdown: 0.2 })
  await found({ equal_at: new Date(time.now()).toISOString() })
  await hearShares('50')
  const at = await askedAt()
  await hearShares('50')
  expect(await haltOf(run)).toEqual([])
  expect(await alarmsOf(run)).toEqual([
    expect.stringContaining('AAPL: the price has gone so far that it may be a split'),
  ])
  await found({ equal_at: at })
  await until('the halt', async () => {
    await hearShares('50')
    return (await haltOf(run)).length > 0
  })
  expect(await haltOf(run)).toMatchObject([{ rule: 'max_drawdown' }])
})

test.each([
  ['the data show', { equal_at: '2100-01-01T00:00:00.000Z' }, '50'],
  ['the comparison found', { equal_at: null, paused_class: 'split' }, '50'],
  ['nobody has confirmed', { equal_at: null }, '100'],
])('a split that %s halts nothing', async (_what, row, adjusted) => {
  market.bars = async ({ adjustment }) => {
    const close = adjustment === 'raw' ? '100' : adjusted
    return [{ time: 0, open: close, high: close, low: close, close, volume: '1', trade_count: null }]
  }
  const run = await holdingShares('100', { max_drawdown: 0.2 })
  await found(row)
  for (let times = 0; times < 5; times++) await hearShares('50')
  await watch.stop()
  expect(await haltOf(run)).toEqual([])
})

test('shares that were split with their bars are worth what they were', async () => {
  const run = await holdingShares('100', { max_drawdown: 0.2 })
  await found({ equal_at: null })
  const state = { ...newLiveCheckpoint(), newest: { AAPL: { time: 0, close: 50, scale: 2 } } }
  await database.db.write((tx) =>
    record(tx, { writes: [{ kind: 'save_checkpoint', run_id: run.id, next_tick: 0, state }], events: [] }),
  )
  for (const price of ['49', '41', '41']) await hearShares(price)
  expect(await alarmsOf(run)).toEqual([])
  await hearShares('20')
  await until('it is told', async () => (await alarmsOf(run)).length > 0)
  expect(await haltOf(run)).toEqual([])
})
