/** Load, faults, rest, judgement; again and again. */
import { livePools } from '../../db/events/leases.ts'
import { mulberry32 } from '../../db/walle/generate.ts'
import { pause, until } from '../support/until.ts'
import { chanceOf, drawFault, type Fault, faultsFor } from './faults.ts'
import { ALWAYS, AT_REST, checkInvariants, describeViolations, NOTHING_FAILED } from './invariants.ts'
import { type Load, openLoads } from './load.ts'
import { nextTicks } from './paper_load.ts'
import { openWorld, type Shape, type World } from './world.ts'

export interface ChaosOptions {
  seed: number
  /** Faults in all. */
  faults: number
  /** Faults between two rests, at each of which everything is judged. */
  perEpisode: number
  shape: Shape
  /** Beginnings of the names of the faults to choose from; none: all. */
  only: readonly string[]
  log: (text: string) => void
  skews?: readonly number[]
}

export interface Recovery {
  fault: string
  /** From the fault's end until every process is ready; milliseconds. */
  readyMs: number
  /** Until one of the runs that were under way has moved on, and until all have. */
  firstMs: number
  allMs: number
}

export interface ChaosReport {
  recoveries: Recovery[]
  /** How much later than due the next tick of each paper run was done. */
  ticks: { fault: string; ms: number }[]
  faults: Map<string, number>
  /** Processes that ended without being told to. */
  crashes: string[]
  events: number
  summaries: string[]
}

const RECOVERY_DEADLINE_MS = 60_000
const REST_DEADLINE_MS = 180_000
const POLL_MS = 30
const LONGEST_GAP_MS = 1_500
/** So often the next fault does not wait until Weaver has recovered from the last. */
const OVERLAP = 0.2
/** Of so many recoveries one is waited for until paper runs tick again, which takes a tick of theirs. */
const TICKS_WATCHED = 3

interface UnderWay {
  id: string
  next_tick: string
}

/** Paper runs wait for their clock: they are measured apart. */
async function runsUnderWay(world: World): Promise<UnderWay[]> {
  return world.db.reader.query<UnderWay>(
    `select id, next_tick from weaver.runs where status = 'running' and mode = 'backtest'`,
  )
}

async function countMoved(world: World, before: readonly UnderWay[]): Promise<number> {
  const now = new Map((await runsUnderWay(world)).map((run) => [run.id, run.next_tick]))
  return before.filter(({ id, next_tick }) => now.get(id) !== next_tick).length
}

async function isReady({ apiUrl, members, db, pools }: World): Promise<boolean> {
  if (members.some((member) => !member.current().isReady())) return false
  if ((await livePools(db)) < pools) return false
  return (await fetch(`${apiUrl}/readyz`, { signal: AbortSignal.timeout(5_000) })).ok
}

/** A process may find out late what it has lost, and end: it counts from when it was ready for the last time. */
async function recover(world: World, before: readonly UnderWay[], since: number): Promise<Omit<Recovery, 'fault'>> {
  let readyAt: number | null = null
  let firstAt: number | null = null
  let allAt: number | null = null
  await until(
    'every process to be ready and every run under way to move on',
    async () => {
      const ready = await isReady(world).catch(() => false)
      if (!ready) readyAt = null
      else readyAt ??= performance.now()
      await pause(POLL_MS)
      const moved = allAt === null ? await countMoved(world, before).catch(() => -1) : before.length
      if (moved > 0 || before.length === 0) firstAt ??= performance.now()
      if (moved === before.length) allAt ??= performance.now()
      return readyAt !== null && allAt !== null
    },
    RECOVERY_DEADLINE_MS,
  )
  return { readyMs: Number(readyAt) - since, firstMs: Number(firstAt) - since, allMs: Number(allAt) - since }
}

/** Resolves when what was asked is done and the log is numbered to its end. */
async function rest(world: World, loads: readonly Load[]): Promise<void> {
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`what was started has not ended ${REST_DEADLINE_MS} ms after the last fault`)
    setTimeout(() => reject(error), REST_DEADLINE_MS).unref()
  })
  await Promise.race([late, Promise.all(loads.map((load) => load.drain()))])
  await until(
    'the log to be numbered to its end',
    async () => {
      const counting = `select (select count(*) from weaver.runs where status = 'running')
         + (select count(*) from weaver.job_overview where run_id is not null and state in ('waiting', 'running', 'failed'))
         + (select count(*) from weaver.outbox o left join weaver.outbox_seq s on s.outbox_id = o.id where s.seq is null)
         as open`
      const [row] = await world.db.write((tx) => tx.query<{ open: number }>(counting))
      return Number(row?.open) === 0
    },
    RECOVERY_DEADLINE_MS,
  )
}

/** As the owner, whose statements may take as long as they need. A server that was killed has forgotten how large its tables are. */
async function judge(world: World, loads: readonly Load[]): Promise<void> {
  const copyTo = () => Promise.reject(new Error('nothing is copied here'))
  const violations = await world.asOwner(async (query) => {
    await query('analyze')
    return checkInvariants({ query, copyTo }, [...ALWAYS, ...AT_REST, ...NOTHING_FAILED])
  })
  const complaints = (await Promise.all(loads.map((load) => load.check()))).flat()
  const found = [describeViolations(violations), ...complaints].filter((text) => text !== '')
  if (found.length > 0) throw new Error(found.join('\n'))
}

async function episode(
  world: World,
  loads: readonly Load[],
  faults: readonly { fault: Fault; gapMs: number; overlaps: boolean }[],
  strike: (fault: Fault) => Promise<string>,
  report: ChaosReport,
  log: (text: string) => void,
): Promise<void> {
  for (const load of loads) load.start()
  for (const { fault, gapMs, overlaps } of faults) {
    await pause(gapMs)
    const before = await runsUnderWay(world).catch(() => [])
    const what = await strike(fault)
    const since = performance.now()
    const end = Date.now()
    report.faults.set(fault.name, (report.faults.get(fault.name) ?? 0) + 1)
    if (overlaps) {
      log(`${fault.name}: ${what}; the next one does not wait`)
      continue
    }
    const recovery = await recover(world, before, since)
    report.recoveries.push({ fault: fault.name, ...recovery })
    const [ready, first, all] = [recovery.readyMs, recovery.firstMs, recovery.allMs].map(Math.round)
    const moved = `a run moved on after ${first} ms, all ${before.length} after ${all} ms`
    const isWatched = report.recoveries.length % TICKS_WATCHED === 1
    const ticks = isWatched ? await nextTicks(world, end) : []
    report.ticks.push(...ticks.map((ms) => ({ fault: fault.name, ms })))
    const ticked = ticks.map((ms) => `, a paper run's tick late by ${Math.round(ms)} ms`).join('')
    log(`${fault.name}: ${what}; ready after ${ready} ms, ${moved}${ticked}`)
  }
  await rest(world, loads)
  const before = performance.now()
  await judge(world, loads)
  const summary = loads.map((load) => load.summary()).join(', ')
  log(`at rest, all invariants hold (${summary}; judged in ${Math.round(performance.now() - before)} ms)`)
}

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const lines: string[] = []
  const began = performance.now()
  const log = (text: string) => {
    const line = `+${((performance.now() - began) / 1000).toFixed(2)}s ${text}`
    lines.push(line)
    options.log(line)
  }
  const chance = chanceOf(mulberry32(options.seed))
  const choices = faultsFor(options.shape, options.only)
  const report: ChaosReport = { recoveries: [], ticks: [], faults: new Map(), crashes: [], events: 0, summaries: [] }
  const world = await openWorld({ shape: options.shape, log, ...(options.skews && { skews: options.skews }) })
  try {
    const loads = await openLoads(world, options.seed)
    for (let done = 0; done < options.faults; done += options.perEpisode) {
      const count = Math.min(options.perEpisode, options.faults - done)
      const plan = Array.from({ length: count }, () => ({
        fault: drawFault(choices, chance),
        gapMs: chance.between(0, LONGEST_GAP_MS),
        overlaps: chance.chance(OVERLAP),
        seed: chance.pick(1e9),
      }))
      // A fault draws as often as it likes: its own numbers do not shift those of the faults after it.
      const seeds = plan.map(({ seed }) => seed)
      const strike = (fault: Fault) => fault.strike(world, chanceOf(mulberry32(seeds.shift() ?? 0)))
      await episode(world, loads, plan, strike, report, log)
      log(`${done + count} of ${options.faults} faults`)
    }
    const [row] = await world.db.reader.query<{ events: string }>('select count(*) as events from weaver.outbox_seq')
    report.events = Number(row?.events)
    report.summaries = loads.map((load) => load.summary())
    report.crashes = world.members.flatMap((member) => member.crashes)
    return report
  } catch (error) {
    const said = world.members.map((member) => `--- ${member.name}:\n${member.current().output().slice(-1_500)}`)
    const message = [
      error instanceof Error ? error.message : String(error),
      'what was done:',
      ...lines,
      ...said,
      `again: ${commandOf(options)}`,
    ].join('\n')
    throw new Error(message, { cause: error })
  } finally {
    await world.close()
  }
}

export function commandOf({ seed, faults, perEpisode, shape, only }: ChaosOptions): string {
  const chosen = only.length === 0 ? '' : ` --only ${only.join(',')}`
  return `npm run chaos -- --kills ${faults} --seed ${seed} --per-episode ${perEpisode} --shape ${shape}${chosen}`
}
