/** What a replay of a paper or live run comes to: its differences in the order of the log, and the verdict. Pure. */
import {
  PARITY_CLASSES,
  type ParityClass,
  type ParityDifference,
  type ParityResult,
} from '../../db/walle/parity_rows.ts'

/** A difference, and where in the log it shows. */
export interface Found extends ParityDifference {
  /** `outbox.id` */
  place: number
}

/** Differences that a report names one by one; the rest are counted. */
export const MOST_DIFFERENCES = 500

/** What the venue told of otherwise when it was over, and what a person did: nothing that the run did wrong. */
const AMENDS: readonly string[] = ['data/revised', 'cost/kept', 'order/by_hand']

/** Kept in the order of the log, the earliest only, however many there are. */
export interface Findings {
  add(...found: readonly Found[]): void
  summary(): Pick<ParityResult, 'verdict' | 'first_divergence' | 'counts' | 'differences' | 'differences_total'>
}

export function createFindings(most = MOST_DIFFERENCES): Findings {
  const counts = Object.fromEntries(PARITY_CLASSES.map((name) => [name, 0])) as Record<ParityClass, number>
  let kept: Found[] = []
  let isAmended = true

  const sorted = () => kept.sort((one, other) => one.place - other.place).slice(0, most)
  return {
    add(...found) {
      for (const one of found) {
        counts[one.class] += 1
        isAmended &&= AMENDS.includes(`${one.class}/${one.what}`)
        kept.push(one)
        if (kept.length >= 2 * most) kept = sorted()
      }
    },
    summary() {
      kept = sorted()
      const differences = kept.map(({ place: _, ...difference }) => difference)
      const differences_total = Object.values(counts).reduce((sum, count) => sum + count, 0)
      return {
        verdict: differences_total === 0 ? 'identical' : isAmended ? 'amended' : 'diverged',
        first_divergence: differences[0] ?? null,
        counts,
        differences,
        differences_total,
      }
    },
  }
}
