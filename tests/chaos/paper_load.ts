/** Paper runs at the simulator, which has bad days of its own while Weaver is hurt. */
import { DatabaseUnavailable } from '../../db/database.ts'
import { createSimBook } from '../../db/sim_venue.ts'
import { mulberry32 } from '../../db/walle/generate.ts'
import { createExchange } from '../../jobs/veda/adapters/sim/exchange.ts'
import type { FaultRequest } from '../../jobs/veda/adapters/sim/faults.ts'
import { readSettings } from '../../jobs/veda/adapters/sim/settings.ts'
import { ACCOUNT } from '../../jobs/veda/adapters/sim/venue.ts'
import { FAST_MINUTE_MS } from '../support/fast_days.ts'
import { pause, until } from '../support/until.ts'
import { ask } from './http.ts'
import { checkInvariants, describeViolations, type Violation } from './invariants.ts'
import type { Load } from './load.ts'
import { MOODS, WORST } from './paper_day.ts'
import { PAPER_ALWAYS, PAPER_AT_REST } from './paper_invariants.ts'
import { SIM_ENV, type World } from './world.ts'

/** Impatient, so that each of their minutes has orders; two at a time. */
const RECIPES = [
  { strategy_id: 'sma_cross', symbols: ['SIM/USD'], config: { fast: 1, slow: 2, qty: '900' } },
  {
    strategy_id: 'bracket_sma',
    symbols: ['ONE/USD'],
    config: { fast: 1, slow: 2, loss: 0.9995, gain: 1.0005, qty: '2' },
    missed_ticks: 'catch_up',
  },
  { strategy_id: 'bollinger_limit', symbols: ['TWO/USD'], config: { period: 3 } },
  { strategy_id: 'sma_cross', symbols: ['ONE/USD'], config: { fast: 1, slow: 2, qty: '3' }, missed_ticks: 'catch_up' },
] as const
const AT_ONCE = 2
/** How long a mood of the simulator lasts. */
const MOOD_MS = { least: 3_000, most: 12_000 }
const AGAIN_MS = 200
const LOOK_AGAIN_MS = 500
const TICK_DEADLINE_MS = 60_000
const STOP_DEADLINE_MS = 60_000
/** For what was under way when the faults stopped: the longest wait of an order job, and a reconciliation. */
const SETTLE_MS = 60_000

export function createPaperRuns(world: World, seed: number): Load {
  const http = ask(world.apiUrl, world.over)
  const random = mulberry32(seed)
  const settings = readSettings(SIM_ENV)
  const exchange = createExchange({
    book: createSimBook(world.db),
    account: ACCOUNT,
    settings,
    now: world.time.now,
  })
  const problems: string[] = []
  let started = 0
  let stopped = false
  let ids: string[] = []
  let starting: Promise<void> = Promise.resolve()
  let changing: Promise<void> = Promise.resolve()

  /** The simulator's book lies in the Postgres that is hurt. */
  const setFaults = (faults: FaultRequest) =>
    until('the simulator to change its mood', async () => {
      if (world.over.aborted) return true
      const isSet = exchange.setFaults(faults).then(() => true)
      return isSet.catch(unlessAway(false))
    })

  async function changeMoods(): Promise<void> {
    let mood = WORST
    while (!stopped) {
      await setFaults(mood)
      const lasts = MOOD_MS.least + random() * (MOOD_MS.most - MOOD_MS.least)
      for (let left = lasts; left > 0 && !stopped; left -= AGAIN_MS) await pause(AGAIN_MS)
      mood = MOODS[Math.floor(random() * MOODS.length)] as FaultRequest
    }
    await setFaults({})
  }

  async function startRun(recipe: (typeof RECIPES)[number]): Promise<void> {
    const created = await http.until('POST', '/runs', { mode: 'paper', exchange: 'sim', timeframe: '1m', ...recipe })
    if (created.status !== 201) {
      problems.push(`a paper run was refused: ${created.status} ${JSON.stringify(created.body)}`)
      return
    }
    const id = String(created.body.id)
    const answer = await http.until('POST', `/runs/${id}/start`, {})
    // It was started although nobody heard of it.
    const wasStarted = answer.status === 409 && answer.body.code === 'RUN_NOT_STARTABLE'
    if (answer.status === 200 || wasStarted) ids.push(id)
    else problems.push(`paper run ${id} was not started: ${answer.status} ${JSON.stringify(answer.body)}`)
    started += 1
  }

  async function stopRun(id: string): Promise<void> {
    const { status, body } = await http.until('POST', `/runs/${id}/stop`, {})
    if (status !== 200) problems.push(`paper run ${id} was not stopped: ${status} ${JSON.stringify(body)}`)
    const isOver = async () => (await http.until('GET', `/runs/${id}`)).body.status !== 'running'
    await until(`paper run ${id} to stop`, isOver, STOP_DEADLINE_MS)
  }

  /** What breaks at this moment; the queue is seen by its owner only. */
  const broken = (): Promise<Violation[]> => {
    const refuse = () => Promise.reject(new Error('nothing is copied here'))
    return world.asOwner((query) => checkInvariants({ query, copyTo: refuse }, [...PAPER_ALWAYS, ...PAPER_AT_REST]))
  }

  const haveSettled = async () => {
    if ((await broken()).length === 0) return true
    await pause(LOOK_AGAIN_MS)
    return false
  }

  return {
    name: 'paper runs',
    start() {
      stopped = false
      ids = []
      const recipes = Array.from({ length: AT_ONCE }, () => RECIPES[Math.floor(random() * RECIPES.length)])
      starting = Promise.all(recipes.map((recipe) => startRun(recipe as (typeof RECIPES)[number]))).then(() => {})
      changing = changeMoods()
      for (const promise of [starting, changing]) promise.catch(() => {})
    },
    async drain() {
      stopped = true
      await Promise.all([starting, changing])
      const since = world.time.now()
      const ticked = until('every paper run to tick again', () => haveTicked(world, ids, since), TICK_DEADLINE_MS)
      await ticked.catch(async (error: Error) => {
        throw new Error(`${error.message}\n${await told(world)}`, { cause: error })
      })
      await Promise.all((await runningOnPaper(world)).map(stopRun))
      // Told by `check`, if they do not.
      await until('the orders of paper runs to settle', haveSettled, SETTLE_MS).catch(() => {})
    },
    async check() {
      const violations = await broken()
      return violations.length === 0 ? problems : [...problems, describeViolations(violations)]
    },
    summary: () => `${started} paper runs`,
  }
}

const MINUTE_MS = 60_000

/** Postgres is one of those that are hurt. */
function unlessAway<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof DatabaseUnavailable) return value
    throw error
  }
}

/** Those of the load, and that of the first boot. */
async function runningOnPaper({ ownerQuery }: World): Promise<string[]> {
  const rows = await ownerQuery<{ id: string }>(
    `select id from weaver.runs where mode = 'paper' and status = 'running'`,
  )
  return rows.map(({ id }) => id)
}

/** Whether each of the runs that still go has done a tick of a boundary after `since`. */
async function haveTicked({ db }: World, ids: readonly string[], since: number): Promise<boolean> {
  const [row] = await db.reader
    .query<{ count: number }>(
      `select count(*)::int as count from weaver.runs r where r.id = any ($1) and r.status = 'running' and not exists (
        select from weaver.clock_ticks c where c.run_id = r.id and c.done_at is not null and c.ts > to_timestamp($2::float8 / 1000))`,
      [ids, since],
    )
    .catch(unlessAway([]))
  return row?.count === 0
}

/** For whoever has to find out why paper runs stand still. */
async function told({ ownerQuery }: World): Promise<string> {
  const tables = await Promise.all([
    ownerQuery(`select r.id, r.started_at, r.next_tick, r.open_corr_id, c.state from weaver.runs r
      left join weaver.run_checkpoints c on c.run_id = r.id where r.status = 'running' and r.mode = 'paper'`),
    ownerQuery(`select c.* from weaver.clock_ticks c join weaver.runs r on r.id = c.run_id
      where r.status = 'running' order by c.id desc limit 6`),
    ownerQuery(`select task, state, attempts, last_error, run_at, locked_by from weaver.job_overview limit 20`),
    ownerQuery('select * from weaver.accounts'),
  ])
  return tables.flatMap((rows) => rows.map((row) => JSON.stringify(row))).join('\n')
}

/**
 * Waits until each paper run that went on at the end of a fault (a moment of the wall clock) has done a tick of a boundary that came
 * after it. Says how long after that boundary it was: who recovers in time is late by next to nothing.
 */
export async function nextTicks(world: World, end: number): Promise<number[]> {
  const then = world.time.now() + ((end - Date.now()) * MINUTE_MS) / FAST_MINUTE_MS
  const boundary = Math.ceil(then / MINUTE_MS) * MINUTE_MS
  const due = end + ((boundary - then) * FAST_MINUTE_MS) / MINUTE_MS
  const ask = () =>
    world.db.reader.query<{ ms: number | null }>(
      `select (extract(epoch from done.at - to_timestamp($1::float8 / 1000)) * 1000)::float8 as ms
      from weaver.runs r join weaver.outbox e on e.run_id = r.id and e.type = 'run.Started',
        lateral (select min(c.updated_at) as at from weaver.clock_ticks c
          where c.run_id = r.id and c.done_at is not null and c.ts >= to_timestamp($2::float8 / 1000)) as done
      where r.status = 'running' and r.mode = 'paper' and e.created_at < to_timestamp($3::float8 / 1000)`,
      [due, boundary, end],
    )
  return until(
    'every paper run to tick again',
    async () => {
      const rows = await ask().catch(unlessAway(null))
      return rows?.every(({ ms }) => ms !== null) === true && rows.map(({ ms }) => Number(ms))
    },
    TICK_DEADLINE_MS,
  )
}
