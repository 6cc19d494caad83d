/** Many paper runs through hours of a bad day at the simulator: what is lost, doubled or different afterwards is thrown. */
import { mulberry32 } from '../../db/walle/generate.ts'
import type { RunRequest } from '../../jobs/glados/commands.ts'
import type { FaultRequest } from '../../jobs/veda/adapters/sim/faults.ts'
import type { PaperWorld } from '../support/paper_world.ts'
import { ALL_NUMBERED, ALWAYS, mustHold, NOTHING_FAILED } from './invariants.ts'
import { PAPER_ALWAYS, PAPER_AT_REST } from './paper_invariants.ts'

type Request = Partial<RunRequest> & { strategy_id: string; symbols: string[] }

/** Impatient, so that an hour has many orders of every kind. */
const RUNS: readonly Request[] = [
  { strategy_id: 'sma_cross', symbols: ['SIM/USD'], config: { fast: 2, slow: 4, qty: '3' } },
  { strategy_id: 'bollinger_limit', symbols: ['ONE/USD'], config: { period: 5 } },
  { strategy_id: 'restless', symbols: ['SIM/USD'] },
  { strategy_id: 'breakout', symbols: ['TWO/USD'], config: {} },
  {
    strategy_id: 'bracket_sma',
    symbols: ['ONE/USD'],
    config: { fast: 2, slow: 4, loss: 0.9995, gain: 1.0005, qty: '2' },
  },
  { strategy_id: 'sma_cross', symbols: ['SIM/USD'], config: { fast: 1, slow: 3, qty: '900' } },
  { strategy_id: 'restless', symbols: ['TWO/USD'], missed_ticks: 'catch_up' },
  { strategy_id: 'mean_reversion', symbols: ['ONE/USD'], config: {} },
]

/** Bad days at the simulator, drawn one after the other. */
export const MOODS: readonly FaultRequest[] = [
  {},
  { lost_answer: 0.5 },
  { timed_out: 0.5 },
  { lost_answer: 0.3, timed_out: 0.3, unavailable: 0.2 },
  { rate_limited: 0.4 },
  { unavailable: 0.6 },
  { update_dropped: 0.7 },
  { update_doubled: 0.7, update_reordered: 0.7, update_delayed: 0.5, update_delay_ms: 20_000 },
  { stream_cut: 0.5, lost_answer: 0.3 },
  { refused: 0.4, rejected: 0.3 },
  { halted: ['SIM/USD'], update_delayed: 0.5 },
  { bar_late: 0.7, bar_revised: 0.5, slow: 0.2 },
  { bar_missing: 0.2 },
]

/** Every day begins with it, however short. */
export const WORST: FaultRequest = { lost_answer: 0.3, timed_out: 0.4, stream_cut: 0.2 }

const MOOD_MS = 120_000
/** Of so many moods one meets a Weaver that is stopped meanwhile, and started again after up to so long. */
const RESTARTS = 5
const AWAY_MS = 180_000
/** The log grows with the day: looking at all of it takes so much of the time. */
const CHECKING_SHARE = 0.1
/** For what was under way when the faults stopped: the longest wait of an order job, and a reconciliation. */
const SETTLE_MS = 3 * 60_000

export interface PaperDay {
  runs: number
  minutes: number
  seed: number
  log?: (text: string) => void
}

export interface PaperDayReport {
  ticks: number
  orders: number
  fills: number
  /** Of orders that were sent more than once, or asked for after an answer was lost. */
  resolved: number
}

export async function livePaperDay(paper: PaperWorld, { runs, minutes, seed, log }: PaperDay): Promise<PaperDayReport> {
  const random = mulberry32(seed)
  const { reader } = paper.weaver.system.db
  const ids: string[] = []
  for (let index = 0; index < runs; index++) {
    const request = RUNS[index % RUNS.length] as Request
    ids.push((await paper.start({ ...request, seed: index, label: `run ${index}` })).id)
  }
  const began = performance.now()
  let checkedMs = 0
  for (let passed = 0; passed < minutes * 60_000; passed += MOOD_MS) {
    const mood = passed === 0 ? WORST : (MOODS[Math.floor(random() * MOODS.length)] as FaultRequest)
    await paper.exchange.setFaults(mood)
    const isRestarted = random() < 1 / RESTARTS
    if (isRestarted) await restart(paper, random)
    await paper.pass(Math.min(MOOD_MS, minutes * 60_000 - passed))
    const start = performance.now()
    if (checkedMs <= CHECKING_SHARE * (start - began)) {
      await mustHold(reader, ALWAYS)
      await mustHoldAsOwner(paper, PAPER_ALWAYS)
      checkedMs += performance.now() - start
    }
    const told = `${JSON.stringify(mood)}${isRestarted ? ', restarted' : ''}`
    const seconds = Math.round((performance.now() - began) / 1000)
    log?.(`${Math.round((passed + MOOD_MS) / 60_000)} of ${minutes} minutes after ${seconds} s: ${told}`)
  }
  await paper.exchange.setFaults({})
  await paper.pass(SETTLE_MS)
  for (const id of ids) await paper.stop(id)
  await paper.pass(60_000)
  await mustHold(reader, [...ALWAYS, ...NOTHING_FAILED])
  await mustHoldAsOwner(paper, [...PAPER_ALWAYS, ...PAPER_AT_REST, ALL_NUMBERED])
  const [report] = await paper.query<PaperDayReport>(
    `select (select count(*) from weaver.clock_ticks)::int as ticks, (select count(*) from weaver.orders)::int as orders,
      (select count(*) from weaver.fills)::int as fills,
      (select count(*) from weaver.order_sends where attempts > 1 or lookups > 0 or last_error is not null)::int as resolved`,
  )
  if (report === undefined) throw new Error('no report')
  return report
}

/** In the midst of whatever is under way. */
async function restart(paper: PaperWorld, random: () => number): Promise<void> {
  await paper.pass(Math.floor(random() * (MOOD_MS / 2)))
  await paper.down()
  await paper.leap(Math.floor(random() * AWAY_MS))
  await paper.up()
}

/** Some look into the queue, which only its owner may. */
async function mustHoldAsOwner(paper: PaperWorld, invariants: Parameters<typeof mustHold>[1]): Promise<void> {
  const refuse = () => Promise.reject(new Error('not here'))
  await mustHold({ query: (text, values) => paper.query(text, values ? [...values] : []), copyTo: refuse }, invariants)
}
