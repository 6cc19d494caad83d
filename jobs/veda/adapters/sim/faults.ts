/** What can go wrong at the simulator: switched on in an account's book, so that every process that trades there suffers it. */
import { z } from 'zod'
import { VenueError } from '../../venue.ts'
import { type MarketFaults, share } from './market.ts'

/** Of all calls, or of all updates. */
const chance = z.number().min(0).max(1).default(0)
const ms = z.int().min(0).max(3_600_000)

export const simFaults = z.strictObject({
  /** What was asked for is done, and the answer is lost. */
  lost_answer: chance,
  /** Nothing is done, and no answer comes. */
  timed_out: chance,
  rate_limited: chance,
  unavailable: chance,
  /** An order is refused at once; or taken in, and rejected when it comes to the market. */
  refused: chance,
  rejected: chance,
  /** A share of the calls takes so long. */
  slow: chance,
  slow_ms: ms.default(1_000),
  /** Of the updates of orders. */
  update_dropped: chance,
  update_doubled: chance,
  update_delayed: chance,
  update_delay_ms: ms.default(2_000),
  /** Delivered after the one that follows it. */
  update_reordered: chance,
  /** Each time that the stream looks for news. */
  stream_cut: chance,
  /** How long a cut lasts. */
  cut_ms: ms.default(3_000),
  bar_missing: chance,
  bar_late: chance,
  bar_late_ms: ms.default(8_000),
  /** Told with half of its volume and without its extremes, and corrected half a minute later. */
  bar_revised: chance,
  /** Trading in these symbols is halted: orders are taken in and wait. */
  halted: z.array(z.string()).max(100).default([]),
  /** Added to the venue's clock. */
  clock_skew_ms: z.int().min(-3_600_000).max(3_600_000).default(0),
})

export type SimFaults = z.output<typeof simFaults>
export type FaultRequest = z.input<typeof simFaults>

export const NO_FAULTS: SimFaults = simFaults.parse({})

export function barFaults({ bar_missing, bar_late, bar_late_ms, bar_revised }: SimFaults): MarketFaults {
  return { bar_missing, bar_late, bar_late_ms, bar_revised }
}

/** Says yes in so many cases, in an order that follows from the seed. */
export function createDice(seed: number): (chance: number) => boolean {
  let thrown = 0
  return (chance) => {
    if (chance <= 0) return false
    thrown += 1
    return share(seed, thrown) < chance
  }
}

export type Dice = ReturnType<typeof createDice>

const RETRY_AFTER_MS = 1_000

export interface Call {
  faults: SimFaults
  dice: Dice
  sleep: (ms: number) => Promise<void>
}

/** What befalls a call before the venue hears of it. `changes`: the caller cannot tell whether it did. */
export async function beforeCall({ faults, dice, sleep }: Call, changes: boolean): Promise<void> {
  if (dice(faults.slow)) await sleep(faults.slow_ms)
  if (dice(faults.rate_limited)) {
    throw new VenueError('rate_limited', 'too many requests', { retryAfterMs: RETRY_AFTER_MS })
  }
  if (dice(faults.unavailable)) throw new VenueError('unavailable', 'the simulator is down for a moment')
  if (dice(faults.timed_out)) throw new VenueError(changes ? 'unclear' : 'unavailable', 'the simulator did not answer')
}

/** What befalls its answer. */
export function beforeAnswer({ faults, dice }: Call, changes: boolean): void {
  if (dice(faults.lost_answer)) {
    throw new VenueError(changes ? 'unclear' : 'unavailable', 'the answer of the simulator was lost')
  }
}
