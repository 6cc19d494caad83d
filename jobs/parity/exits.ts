/** Whether the entries of a paper or live run had the exits that were attached to them, as its log tells. Pure. */
import { Decimal, ZERO } from '../greta/decimals.ts'
import { type OrderStory, orderDifference } from './orders.ts'
import type { Found } from './parity.ts'

export interface ExitParts {
  /** The boundary up to which fills are looked at; null: the run has ended. */
  settledAt: number | null
  report: (found: Found) => void
}

/** All that an entry's fills brought into the position has been asked to be closed by each exit of the entry, at one time or another. */
export function compareExits(stories: readonly OrderStory[], { settledAt, report }: ExitParts): void {
  const legs = Map.groupBy(
    stories.filter((story) => story.exit !== null),
    (story) => story.exit?.entry,
  )
  for (const entry of stories) {
    const last = entry.fills.at(-1)
    if (last === undefined || entry.roles.length === 0) continue
    // Exits follow a fill, and one may be on its way.
    if (settledAt !== null && Date.parse(last.event.ts) > settledAt) continue
    const own = legs.get(entry) ?? []
    const places = Math.max(placesOf(entry.intent.qty), ...own.map(({ intent }) => placesOf(intent.qty)))
    const needed = entry.grown.reduce((sum, qty) => sum.plus(qty.round(places, 0)), ZERO)
    for (const role of entry.roles) {
      const offered = offeredBy(own.filter(({ exit }) => exit?.role === role))
      if (offered.gte(needed)) continue
      const cause = `an entry was filled without the ${role === 'sl' ? 'stop loss' : 'take profit'} that it was to have`
      report({
        ...orderDifference(entry, last.place, 'exit_missing', cause),
        recorded: offered.eq(ZERO) ? 'none' : `for ${offered}`,
        expected: `for ${needed}`,
      })
    }
  }
}

/** Legs of one pair take each other's place. */
function offeredBy(legs: readonly OrderStory[]): Decimal {
  const pairs = new Map<string, Decimal>()
  for (const { exit, intent } of legs) {
    if (exit === null) continue
    const qty = new Decimal(intent.qty)
    const most = pairs.get(exit.pair)
    if (most === undefined || qty.gt(most)) pairs.set(exit.pair, qty)
  }
  return [...pairs.values()].reduce((sum, qty) => sum.plus(qty), ZERO)
}

/** A venue takes quantities in steps, and what is less than one it does not take. */
const placesOf = (qty: string) => qty.split('.')[1]?.length ?? 0
