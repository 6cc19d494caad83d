import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { listClockTicks, runsWithBoundaries } from '../../db/walle/queries/live_runs.ts'
import { getRun, lockRun } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import type { NewRun } from '../../db/walle/rows.ts'
import { type PreciseClock, wallClock } from '../../jobs/glados/clock.ts'
import { createSweeper } from '../../jobs/live/clock.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { pause, until } from '../support/until.ts'
import { aRun, aSource } from '../support/walle_rows.ts'

const T = Date.parse('2024-07-02T12:00:00Z')
const MINUTE = 60_000

let database: TestDatabase
let count = 0

beforeAll(async () => {
  database = await createTestDatabase()
  await database.db.write((tx) => record(tx, { writes: [{ kind: 'store_source', source: aSource() }], events: [] }))
})
afterAll(() => database.drop())
/** Runs of earlier tests do not tick on. */
beforeEach(() =>
  database.db.write(async (tx) => {
    await tx.execute(`update weaver.runs set status = 'stopped'`)
  }),
)

async function aPaperRun(changes: Partial<NewRun> = {}, startedAt = T): Promise<string> {
  count += 1
  const run = aRun(count, { mode: 'paper', exchange: 'sim', ...changes })
  const ledger = {
    ...{ run_id: run.id, cash: '1000', fees: '0', turnover: '0', next_order: 0, next_fill: 0 },
    ...{ trade_matcher: null, risk_watch: null, splits: null },
  }
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'create_run', run },
        {
          kind: 'update_run',
          id: run.id,
          changes: { status: 'running', started_at: new Date(startedAt).toISOString() },
        },
        { kind: 'save_run_ledgers', rows: [ledger] },
      ],
      events: [],
    }),
  )
  return run.id
}

/** The tick that is under way is done. */
async function done(...ids: string[]): Promise<void> {
  await database.db.write((tx) =>
    record(tx, {
      writes: ids.map((id) => ({ kind: 'update_run', id, changes: { open_corr_id: null } }) as const),
      events: [],
    }),
  )
}

/** What the clock left of a run: minutes after T, with why it was missed. */
async function ticksOf(id: string): Promise<string[]> {
  const rows = await listClockTicks(database.db.reader, id)
  expect(rows.map(({ bar_index }) => bar_index)).toEqual(rows.map((_, index) => index))
  return rows.map(({ ts, missed_reason }) => {
    const minute = String((Date.parse(ts) - T) / MINUTE)
    return missed_reason === null ? minute : `${minute} ${missed_reason}`
  })
}

async function eventsOf(id: string): Promise<{ ts: string; bar_index: number }[]> {
  return database.db.reader.query(
    `select payload -> 'payload' ->> 'ts' as ts, (payload -> 'payload' ->> 'bar_index')::int as bar_index
     from weaver.outbox where run_id = $1 and type = 'clock.Tick' order by id`,
    [id],
  )
}

function standingClock(): PreciseClock & { set(now: number): void } {
  let now = T
  return { ...wallClock, now: () => now, set: (to) => (now = to) }
}

function aSweeper(clock: PreciseClock) {
  return createSweeper({ db: database.db, record, clock, log: () => {} })
}

test('a run is ticked at each boundary after its start, with its event, its job and its open tick', async () => {
  const clock = standingClock()
  const sweeper = aSweeper(clock)
  const id = await aPaperRun({}, T + 1)
  await sweeper.sweep()
  expect(await ticksOf(id)).toEqual([])
  clock.set(T + MINUTE + 4)
  await sweeper.sweep()
  expect(await ticksOf(id)).toEqual(['1'])
  const [row] = await listClockTicks(database.db.reader, id)
  const run = await getRun(database.db.reader, id)
  expect(row).toMatchObject({ bar_index: 0, drift_ms: 4, missed_reason: null, done_at: null })
  expect([run?.next_tick, run?.open_corr_id]).toEqual([0, row?.event_id])
  expect(await eventsOf(id)).toEqual([{ ts: '2024-07-02T12:01:00.000Z', bar_index: 0 }])
  const jobs = await database.db.reader.query('select task from weaver.job_overview where run_id = $1', [id])
  expect(jobs).toEqual([{ task: 'veda.fetch_window' }])
})

test('a tick that is still under way makes the next ones missed; catching up makes them wait', async () => {
  const clock = standingClock()
  const sweeper = aSweeper(clock)
  const [skips, catches] = [await aPaperRun(), await aPaperRun({ missed_ticks: 'catch_up' })]
  for (const minute of [1, 2, 3]) {
    clock.set(T + minute * MINUTE)
    await sweeper.sweep()
  }
  expect(await ticksOf(skips)).toEqual(['1', '2 busy', '3 busy'])
  expect(await ticksOf(catches)).toEqual(['1'])
  for (let again = 0; again < 4; again++) {
    await done(skips, catches)
    await sweeper.sweep()
  }
  expect(await ticksOf(catches)).toEqual(['1', '2', '3'])
  expect((await eventsOf(catches)).map(({ bar_index }) => bar_index)).toEqual([0, 1, 2])
  clock.set(T + 4 * MINUTE)
  await sweeper.sweep()
  expect(await ticksOf(skips)).toEqual(['1', '2 busy', '3 busy', '4'])
  expect((await getRun(database.db.reader, skips))?.next_tick).toBe(3)
})

test('what passed while nobody watched is recorded once, and a clock set back emits nothing twice', async () => {
  const clock = standingClock()
  const id = await aPaperRun()
  clock.set(T + 5 * MINUTE + 1_000)
  await aSweeper(clock).sweep()
  expect(await ticksOf(id)).toEqual(['1 late', '2 late', '3 late', '4 late', '5'])
  await done(id)
  for (const now of [T + 2 * MINUTE, T - 60 * MINUTE, T + 5 * MINUTE + 2_000, T + 6 * MINUTE - 1]) {
    clock.set(now)
    await aSweeper(clock).sweep()
  }
  expect(await ticksOf(id)).toEqual(['1 late', '2 late', '3 late', '4 late', '5'])
  clock.set(T + 6 * MINUTE)
  await aSweeper(clock).sweep()
  expect((await ticksOf(id)).slice(5)).toEqual(['6'])
})

test('equities tick in sessions only, and a run that is to stop or has no ledger never', async () => {
  const clock = standingClock()
  const equity = await aPaperRun({ symbols: ['AAPL'], timeframe: '30m' })
  const stops = await aPaperRun()
  const unready = await aPaperRun()
  await database.db.write(async (tx) => {
    await record(tx, {
      writes: [
        {
          kind: 'update_run',
          id: stops,
          changes: { stop_requested: { cancel_orders: true, close_positions: false } },
        },
      ],
      events: [],
    })
    await tx.execute('delete from weaver.run_ledgers where run_id = $1', [unready])
  })
  for (const minute of [60, 90, 120]) {
    clock.set(T + minute * MINUTE)
    await aSweeper(clock).sweep()
    await done(equity)
  }
  // The session opens at 13:30, ninety minutes after T: the first bar closes at 14:00.
  expect([await ticksOf(equity), await ticksOf(stops), await ticksOf(unready)]).toEqual([['120'], [], []])
})

test('a run that somebody holds keeps no other run waiting, and is ticked when it is let go', async () => {
  const clock = standingClock()
  const sweeper = aSweeper(clock)
  const [held, free] = [await aPaperRun(), await aPaperRun()]
  clock.set(T + MINUTE)
  await database.db.write(async (tx) => {
    await lockRun(tx, held)
    await sweeper.sweep()
    expect([await ticksOf(held), await ticksOf(free), sweeper.isNeeded()]).toEqual([[], ['1'], true])
  })
  await sweeper.sweep()
  expect([await ticksOf(held), await ticksOf(free), sweeper.isNeeded()]).toEqual([['1'], ['1'], false])
})

test('however many clocks there are, each boundary is emitted once', async () => {
  const clock = standingClock()
  const sweepers = [1, 2, 3].map(() => aSweeper(clock))
  const ids = [await aPaperRun(), await aPaperRun(), await aPaperRun({ timeframe: '5m' })]
  for (let minute = 1; minute <= 10; minute++) {
    clock.set(T + minute * MINUTE)
    // All of them saw the same runs as due.
    const due = await runsWithBoundaries(database.db.reader, [
      { timeframe: '1m', ts: clock.now() },
      { timeframe: '5m', ts: Math.floor(clock.now() / (5 * MINUTE)) * 5 * MINUTE },
    ])
    await Promise.all(sweepers.map((sweeper) => sweeper.sweep(due)))
    await Promise.all(sweepers.map((sweeper) => sweeper.sweep()))
    await done(...ids)
  }
  const minutes = Array.from({ length: 10 }, (_, index) => String(index + 1))
  expect(await Promise.all(ids.map(ticksOf))).toEqual([minutes, minutes, ['5', '10']])
  expect((await Promise.all(ids.map(eventsOf))).map((events) => events.length)).toEqual([10, 10, 2])
})

const ENTRY = fileURLToPath(new URL('../support/clock_process.ts', import.meta.url))

test('another process takes over from a clock that was killed, and one that stood still misses what passed, once', async () => {
  const origin = Math.floor(Date.now() / MINUTE) * MINUTE
  const id = await aPaperRun({}, origin)
  const told: string[] = []
  const start = (): ChildProcess => {
    const child = spawn(process.execPath, [ENTRY, database.url, String(origin)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child.stdout?.on('data', (data) => told.push(String(data)))
    return child
  }
  const children = [start()]
  const emitted = async () => (await listClockTicks(database.db.reader, id)).filter(({ event_id }) => event_id !== null)
  /** Ticks are done as they come. */
  const more = async (than: number) =>
    until('further ticks', async () => {
      await done(id)
      return (await emitted()).length >= than
    })
  try {
    await more(2)
    children.push(start())
    children[0]?.kill('SIGKILL')
    await more((await emitted()).length + 2)
    children[1]?.kill('SIGSTOP')
    const before = (await listClockTicks(database.db.reader, id)).length
    // Three of its minutes.
    await pause(3_500)
    expect((await listClockTicks(database.db.reader, id)).length).toBeLessThanOrEqual(before + 1)
    children[1]?.kill('SIGCONT')
    await more((await emitted()).length + 2)
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
  const rows = await listClockTicks(database.db.reader, id)
  const boundaries = rows.map(({ ts }) => Date.parse(ts))
  expect(boundaries).toEqual(boundaries.map((_, index) => (boundaries[0] as number) + index * MINUTE))
  expect(rows.map(({ bar_index }) => bar_index)).toEqual(rows.map((_, index) => index))
  expect(rows.filter(({ missed_reason }) => missed_reason === 'late').length).toBeGreaterThanOrEqual(2)
  const events = await eventsOf(id)
  expect(events.map(({ bar_index }) => bar_index)).toEqual(
    rows.filter(({ event_id }) => event_id !== null).map(({ bar_index }) => bar_index),
  )
  expect(told.join('')).toContain('the clock stood still for')
})
