/**
 * Prices of shares that have gone further since a run's tick than they do but for a split, or a crash. Before such a loss, or
 * such a gain, counts, what it is a price of is asked for: the account is compared, and the venue's data say whether a share
 * is what it was. That takes a second or two; a crash counts then.
 */
import type { NewEvent } from '../../../db/events/envelope.ts'
import type { AccountName } from '../../../db/walle/queries/accounts.ts'
import type { PositionAtRisk, RunAtRisk } from '../../../db/walle/queries/market.ts'
import { isJump, sharesPerHeld, splitsOf } from '../../greta/splits.ts'
import type { Live } from '../../live/live.ts'
import { splitShown } from '../../veda/market/split_shown.ts'
import type { Mark } from '../../veda/marks.ts'
import { askToCompare, isComparedAfter } from '../../veda/orders/compared.ts'

type JumpJobs = Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'newId' | 'log'>

interface Jump {
  /** When it was seen first. */
  at: number
  /** Null: the venue's data have not said so yet. */
  isSplit: boolean | null
  isTold: boolean
}

export interface Jumps {
  /** Symbols of the run whose marks do not count, or not yet. */
  unsureOf(account: AccountName, run: RunAtRisk, marks: ReadonlyMap<string, Mark>): ReadonlySet<string>
  /** With them a limit would be broken. Told once. */
  tell(run: RunAtRisk, symbols: ReadonlySet<string>, limit: string): Promise<void>
}

/** What one share that is held is worth at a price of the market. */
export function heldPrice(run: RunAtRisk, { symbol, scale }: PositionAtRisk, price: string): number {
  return Number(price) * sharesPerHeld(splitsOf(run), symbol, scale ?? 1)
}

export function createJumps(jobs: JumpJobs): Jumps {
  const seen = new Map<string, Jump>()
  const keyOf = ({ id }: RunAtRisk, symbol: string) => `${id} ${symbol}`

  async function ask({ exchange, mode }: AccountName, symbol: string, jump: Jump): Promise<void> {
    const moment = new Date(jump.at).toISOString()
    await jobs.db.write(async (tx) => {
      await jobs.record(tx, await askToCompare(tx, { exchange, mode }, moment, jobs.now()))
    })
    const venue = await jobs.venues.get(exchange, mode)
    jump.isSplit = (await splitShown(venue, symbol, jobs.now())) !== null
  }

  function jumpOf(account: AccountName, run: RunAtRisk, symbol: string): Jump {
    const key = keyOf(run, symbol)
    const known = seen.get(key)
    if (known !== undefined) return known
    const jump: Jump = { at: jobs.now(), isSplit: null, isTold: false }
    seen.set(key, jump)
    ask(account, symbol, jump).catch((error: unknown) => {
      // Data that cannot be had are no reason to lose more: the comparison decides.
      jump.isSplit = false
      jobs.log('warn', { err: error, run_id: run.id, symbol }, 'whether a price is that of a split cannot be asked')
    })
    return jump
  }

  return {
    unsureOf(account, run, marks) {
      const since = run.marked_at === null ? Number.NEGATIVE_INFINITY : Date.parse(run.marked_at)
      const unsure = run.positions.filter((position) => {
        const { symbol, price, equal_at } = position
        const mark = marks.get(symbol)
        if (mark === undefined || mark.at <= since) return false
        if (!isJump(symbol, Number(price), heldPrice(run, position, mark.price))) {
          seen.delete(keyOf(run, symbol))
          return false
        }
        const { at, isSplit } = jumpOf(account, run, symbol)
        return isSplit !== false || !isComparedAfter({ equal_at }, new Date(at).toISOString())
      })
      return new Set(unsure.map(({ symbol }) => symbol))
    },
    async tell(run, symbols, limit) {
      const untold = [...symbols].filter((symbol) => seen.get(keyOf(run, symbol))?.isTold === false)
      if (untold.length === 0) return
      for (const symbol of untold) (seen.get(keyOf(run, symbol)) as Jump).isTold = true
      await jobs.db.write((tx) =>
        jobs.record(tx, { writes: [], events: [alarm(run, untold.join(', '), limit, jobs.newId(), jobs.now())] }),
      )
    },
  }
}

function alarm({ id: run_id }: RunAtRisk, symbols: string, limit: string, id: string, now: number): NewEvent {
  const why = 'it does not count until the account was compared and its exchange’s data show no split'
  return {
    ...{ id, type: 'system.Error', run_id, corr_id: id, causation_id: null },
    ...{ ts: new Date(now).toISOString(), producer: 'glados' },
    payload: {
      part: 'limits',
      message: `${symbols}: the price has gone so far that it may be a split. By it ${limit}; ${why}`,
    },
  }
}
