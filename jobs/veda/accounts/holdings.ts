/**
 * Whose what the account holds is, in the transaction that records it: what is held against runs changes their books with it.
 * Runs are locked before the account, and those that are not locked are left as they are.
 */
import type { Reader, WriteTx } from '../../../db/database.ts'
import type { NewEvent } from '../../../db/events/envelope.ts'
import type { NewJob } from '../../../db/events/tasks.ts'
import type { AccountPositionRow, AccountRow, RunLedgerRow } from '../../../db/walle/live_rows.ts'
import type { Write } from '../../../db/walle/outcome.ts'
import {
  type AccountName,
  accountPositions,
  getAccount,
  heldByRuns,
  lockAccount,
  movingSymbols,
  purchasesOf,
  runsWithSymbols,
} from '../../../db/walle/queries/accounts.ts'
import { getPosition } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { lockRuns } from '../../../db/walle/queries/runs.ts'
import type { PositionRow, RunRow } from '../../../db/walle/rows.ts'
import { type Attribution, attributed } from '../../greta/attribution.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'
import type { Live } from '../../live/live.ts'
import type { Purchases } from '../kept_fees.ts'
import { fitJob } from '../orders/job_specs.ts'
import {
  type ComparedPosition,
  comparePositions,
  judgePositions,
  type PositionsJudged,
  turnedSymbols,
} from '../positions.ts'
import type { LostFill } from '../reconcile.ts'
import type { Execution } from '../venue.ts'
import type { Check, Look } from './check.ts'

/** What the venue told, and when it was asked. */
export interface Seen {
  look: Look
  startedAt: number
  foreign: readonly Execution[]
  lost: readonly LostFill[]
  /** Orders there that are not on record: why nothing leaves, by symbol. */
  resting: ReadonlyMap<string, string>
}

export interface Judged {
  account: AccountRow
  positions: PositionsJudged
  /** Unattributed quantities that changed. */
  moved: { symbol: string; qty: string }[]
  /** What was held against runs. */
  attributed: { writes: Write[]; events: NewEvent[] }
  /** What looks after runs' orders in symbols that look like a split, or do no longer. */
  fits: NewJob[]
  corrId: string
}

/** Another process keeps the account now. */
export class NotItsKeeper extends Error {
  override readonly name = 'NotItsKeeper'
}

export function mustKeep(account: AccountRow | null, { exchange, mode, keeper }: Check): asserts account is AccountRow {
  if (account?.keeper === keeper) return
  throw new NotItsKeeper(`${exchange} ${mode} is kept by ${account?.keeper ?? 'nobody'}, no longer by ${keeper}`)
}

export async function judgeHoldings(live: Live, tx: WriteTx, check: Check, seen: Seen): Promise<Judged> {
  const runs = await lockConcerned(tx, check, seen)
  const account = await lockAccount(tx, check)
  mustKeep(account, check)
  const { rows, compared } = await compare(tx, check, seen, account)
  const changeable = compared.every(({ taken }) => taken.every(({ run_id }) => runs.has(run_id)))
  // Somebody's run ended, or traded, in between: the next look finds it.
  if (!changeable) throw new Error('what runs hold has changed while the account was compared')
  const differing = compared.filter(({ difference }) => difference !== '0').map(({ row }) => row.symbol)
  const positions = judgePositions(
    compared,
    check.memory.differences,
    await movingSymbols(tx, check, check.settling.mostMs),
    {
      ...check.settling,
      now: live.now(),
      asked: new Date(seen.startedAt).toISOString(),
      cash: { before: account.cash, now: seen.look.account.cash },
      resting: seen.resting,
      feeRate: check.feeRate,
      purchases: await purchases(tx, check, differing, runs),
    },
  )
  if (isAnother(account, seen)) positions.rows.push(...forgotten(rows, positions.rows))
  const was = new Map(rows.map((row) => [row.symbol, row.unattributed_qty]))
  const moved = positions.rows.flatMap(({ symbol, unattributed_qty: qty }) =>
    qty === (was.get(symbol) ?? '0') ? [] : [{ symbol, qty }],
  )
  const corrId = live.newId()
  // What was held in another account is not to be sold in this one.
  const turned = isAnother(account, seen) ? [] : turnedSymbols(rows, positions.rows)
  const fits = (await runsWithSymbols(tx, check, turned)).map(fitJob)
  const attributed = await attribute(live, tx, runs, compared, positions, corrId)
  return { account, positions, moved, corrId, attributed, fits }
}

/** The credentials are those of another account than before. */
export function isAnother({ account_number: before }: AccountRow, { look }: Pick<Seen, 'look'>): boolean {
  return before !== null && before !== look.account.account_number
}

async function compare(
  tx: Reader,
  check: AccountName,
  seen: Seen,
  account: AccountRow,
): Promise<{ rows: AccountPositionRow[]; compared: ComparedPosition[] }> {
  const rows = await accountPositions(tx, check)
  const another = isAnother(account, seen)
  // What was foreign before Weaver looked for the first time is in the positions that it saw then.
  const first = another || account.reconciled_at === null
  const { exchange, mode } = check
  const compared = comparePositions({
    ...{ exchange, mode, first, venue: seen.look.positions, also: [...seen.resting.keys()] },
    rows: another ? [] : rows,
    holders: another ? [] : await heldByRuns(tx, check),
    foreign: first ? [] : seen.foreign,
    lost: first ? [] : seen.lost,
  })
  return { rows, compared }
}

/** Those whose books may change by this comparison. */
async function lockConcerned(tx: WriteTx, check: Check, seen: Seen): Promise<Map<string, RunRow>> {
  const account = await getAccount(tx, check)
  if (account === null) return new Map()
  const { compared } = await compare(tx, check, seen, account)
  const ids = compared.flatMap(({ row, difference, taken, holders }) => {
    const mayBeFee = check.feeRate(row.symbol) !== null && new Decimal(difference).lt(ZERO)
    return [...taken, ...(mayBeFee ? holders : [])].map(({ run_id }) => run_id)
  })
  if (ids.length === 0) return new Map()
  return new Map((await lockRuns(tx, [...new Set(ids)])).map((run) => [run.id, run]))
}

async function purchases(
  tx: Reader,
  check: AccountName,
  symbols: readonly string[],
  runs: ReadonlyMap<string, RunRow>,
): Promise<Map<string, Purchases[]>> {
  const bought = new Map<string, Purchases[]>()
  for (const { symbol, ...one } of await purchasesOf(tx, check, symbols)) {
    bought.set(symbol, [...(bought.get(symbol) ?? []), { ...one, changeable: runs.has(one.run_id) }])
  }
  return bought
}

/** What was held in the account of before. */
function forgotten(rows: readonly AccountPositionRow[], now: readonly AccountPositionRow[]): AccountPositionRow[] {
  const held = new Set(now.map(({ symbol }) => symbol))
  return rows
    .filter(({ symbol }) => !held.has(symbol))
    .map((row) => ({
      ...{ ...row, venue_qty: '0', runs_qty: '0', unattributed_qty: '0', fee_adjustment: '0' },
      ...{ equal_at: null, paused_reason: null, paused_class: null },
    }))
}

/** What each run's part changes, one after the other: a run may have parts in several symbols. */
async function attribute(
  live: Live,
  tx: WriteTx,
  runs: ReadonlyMap<string, RunRow>,
  compared: readonly ComparedPosition[],
  { fees, findings }: PositionsJudged,
  corrId: string,
): Promise<Judged['attributed']> {
  const detailOf = (symbol: string, runId: string) =>
    findings.find((one) => one.symbol === symbol && one.detail.includes(runId))?.detail ?? ''
  const parts: { runId: string; attribution: Attribution }[] = [
    ...compared.flatMap(({ row: { symbol }, taken }) =>
      taken.map(({ run_id: runId, qty, price }) => {
        const attribution: Attribution = {
          ...{ symbol, how: 'transfer', by: 'keeper', qty, price, detail: detailOf(symbol, runId) },
        }
        return { runId, attribution }
      }),
    ),
    ...fees.map(({ run_id: runId, symbol, qty }) => {
      const attribution: Attribution = { symbol, how: 'fee', by: 'keeper', qty, detail: detailOf(symbol, runId) }
      return { runId, attribution }
    }),
  ]
  const changed: Judged['attributed'] = { writes: [], events: [] }
  const ledgers = new Map<string, RunLedgerRow>()
  const positions = new Map<string, PositionRow>()
  for (const { runId, attribution } of parts) {
    const ledger = ledgers.get(runId) ?? (await getRunLedger(tx, runId))
    if (ledger === null) throw new Error(`the run ${runId} has no ledger: it was never started`)
    const made = { id: live.newId(), attributionId: live.newId(), corrId, at: live.now(), producer: 'veda' as const }
    const place = `${runId} ${attribution.symbol}`
    const held = positions.get(place) ?? (await getPosition(tx, runId, attribution.symbol))
    const one = attributed(runs.get(runId) as RunRow, ledger, held, attribution, made)
    ledgers.set(runId, one.ledger)
    positions.set(place, one.position)
    changed.writes.push(...one.writes)
    changed.events.push(one.event)
  }
  return changed
}
