/** A person says whose a position is: a run's that did not trade it, no longer a run's that has it on record, or split. */
import type { Reader } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { AccountPositionRow, AccountRow, OrderSendRow } from '../../db/walle/live_rows.ts'
import type { Outcome, Write } from '../../db/walle/outcome.ts'
import { type AccountName, heldByRuns, lockAccount } from '../../db/walle/queries/accounts.ts'
import { getOrderSend, getPosition } from '../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../db/walle/queries/live_runs.ts'
import { listOpenOrders } from '../../db/walle/queries/orders.ts'
import { lockRun, lockRuns } from '../../db/walle/queries/runs.ts'
import type { PositionRow, RunRow } from '../../db/walle/rows.ts'
import { type Attribution, attributed, closingTooMuch } from '../greta/attribution.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { CommandContext } from './commands.ts'
import { DomainError } from './errors.ts'
import { type AccountCommandDependencies, mustHold, mustKnow } from './known_account.ts'

export interface AttributeRequest {
  symbol: string
  run_id: string
  /** Negative: it leaves the run. */
  qty: string
  /** Absent: what the run has paid for it on average. */
  price?: string | undefined
}

export interface SplitRequest {
  symbol: string
  /** New for old, such as 4:1. */
  ratio: string
}

const DECIMAL = /^-?\d{1,15}(\.\d{1,12})?$/
const RATIO = /^(\d{1,4}):(\d{1,4})$/

/**
 * What leaves a run is held against what is missing in the account, and is nobody's beyond that; what comes to one is what no
 * order explained, or was nobody's. The run's cash is paid for it, as if it had traded: nothing is won or lost by it.
 */
export async function attributePosition(
  deps: AccountCommandDependencies,
  name: AccountName,
  request: AttributeRequest,
  context: CommandContext,
): Promise<AccountPositionRow> {
  const change = decimalOf('qty', request.qty)
  if (change.eq(ZERO))
    throw new DomainError('VALIDATION_ERROR', 'a quantity of nothing changes nothing', { field: 'qty' })
  return deps.recorder(async (reader) => {
    // Before the account, as everywhere.
    const run = mustBeOf(name, request, await lockRun(reader, request.run_id))
    const account = await mustKnow(name, lockAccount(reader, name))
    mustTradeHere(account, run)
    const row = await mustHold(reader, name, request.symbol)
    const held = await getPosition(reader, run.id, request.symbol)
    mustBeThere(request, change, held)
    const price = priceOf(request, held)
    const before = (await heldByRuns(reader, name)).filter(({ symbol }) => symbol === request.symbol)
    const ours = before.reduce((sum, { qty }) => sum.plus(qty), ZERO)
    const after = divided(row, ours, change, new Decimal(held?.qty ?? ZERO))
    const { symbol } = request
    const detail = `a person ${change.gt(ZERO) ? 'gave it' : 'took from it'} ${change.abs()} at ${price}`
    const attribution: Attribution = {
      ...{ symbol, how: 'transfer', by: 'person', qty: change.toString(), price, detail },
    }
    const outcome = await booked(deps, reader, [{ run, attribution }], context)
    return { outcome: await told(deps, reader, account, after, outcome), result: after }
  })
}

/** What all runs of the account hold of it, and what is nobody's, becomes as many as the split makes of it, at the same cost. */
export async function splitPosition(
  deps: AccountCommandDependencies,
  name: AccountName,
  { symbol, ratio: text }: SplitRequest,
  context: CommandContext,
): Promise<AccountPositionRow> {
  const [fresh, old] = (RATIO.exec(text)?.slice(1) ?? []).map(Number)
  if (!fresh || !old || fresh === old) {
    throw new DomainError('VALIDATION_ERROR', `a split is new for old, such as 4:1, not ${text}`, { field: 'ratio' })
  }
  return deps.recorder(async (reader) => {
    const ids = (await heldByRuns(reader, name)).filter((one) => one.symbol === symbol).map(({ run_id }) => run_id)
    const runs = await lockRuns(reader, ids)
    const account = await mustKnow(name, lockAccount(reader, name))
    const row = await mustHold(reader, name, symbol)
    if (row.paused_reason === null) {
      const message = `${symbol} at ${name.exchange} ${name.mode} is as its runs have it: there is no split to apply`
      throw new DomainError('CONFLICT', message, { symbol })
    }
    // Twice is once: what was said of it last may have been this.
    if (row.paused_class === null) {
      const message = `something was said of ${symbol} already, and ${name.exchange} ${name.mode} was not compared since: look again in a second`
      throw new DomainError('CONFLICT', message, { symbol })
    }
    const detail = `a person applied a split of ${fresh} for ${old}`
    const attribution: Attribution = { symbol, how: 'split', by: 'person', ratio: { fresh, old }, detail }
    const outcome = await booked(
      deps,
      reader,
      runs.map((run) => ({ run, attribution })),
      context,
    )
    const times = (qty: string) => new Decimal(qty).times(fresh).div(old).toString()
    const after: AccountPositionRow = {
      ...{ ...row, unattributed_qty: times(row.unattributed_qty), fee_adjustment: times(row.fee_adjustment) },
      ...{ runs_qty: sumOf(outcome.positions).toString(), paused_class: null },
    }
    return { outcome: await told(deps, reader, account, after, outcome), result: after }
  })
}

const sumOf = (items: readonly { qty: string }[]) => items.reduce((sum, { qty }) => sum.plus(qty), ZERO)

function decimalOf(field: string, text: string): Decimal {
  if (DECIMAL.test(text)) return new Decimal(text)
  throw new DomainError('VALIDATION_ERROR', `${field} is a decimal of up to 12 places, not ${text}`, { field })
}

function priceOf({ price, symbol }: AttributeRequest, held: PositionRow | null): string {
  if (price === undefined && held !== null && !new Decimal(held.qty).eq(ZERO)) return held.avg_price
  if (price === undefined) {
    throw new DomainError('VALIDATION_ERROR', `the run holds no ${symbol}: at which price is it given some?`, {
      field: 'price',
    })
  }
  if (decimalOf('price', price).gt(ZERO)) return new Decimal(price).toString()
  throw new DomainError('VALIDATION_ERROR', `a price is above zero, not ${price}`, { field: 'price' })
}

function mustBeOf({ exchange, mode }: AccountName, { run_id, symbol }: AttributeRequest, run: RunRow | null): RunRow {
  if (run === null) throw new DomainError('NOT_FOUND', `there is no run ${run_id}`, { run_id })
  if (run.exchange !== exchange || run.mode !== mode) {
    throw new DomainError('CONFLICT', `the run ${run_id} does not trade at ${exchange} ${mode}`, { run_id })
  }
  if (run.symbols.includes(symbol)) return run
  throw new DomainError('CONFLICT', `the run ${run_id} does not trade ${symbol}: ${run.symbols.join(', ')}`, { run_id })
}

/** It started after the account got the number that it has now. */
function mustTradeHere({ account_number, number_since }: AccountRow, { id, started_at }: RunRow): void {
  if (started_at === null) throw new DomainError('CONFLICT', `the run ${id} was never started`, { run_id: id })
  if (number_since === null || started_at >= number_since) return
  const message = `the run ${id} traded in another account: the credentials are those of ${account_number} since ${number_since}`
  throw new DomainError('CONFLICT', message, { run_id: id })
}

/** A run is not made to owe anything. */
function mustBeThere({ run_id, symbol }: AttributeRequest, change: Decimal, held: PositionRow | null): void {
  const qty = new Decimal(held?.qty ?? ZERO)
  if (!takes(qty, change) || change.abs().lte(qty.abs())) return
  const message = `the run ${run_id} holds ${qty} ${symbol}: ${change.abs()} cannot be taken from it`
  throw new DomainError('CONFLICT', message, { run_id, symbol })
}

const takes = (held: Decimal, change: Decimal) => !held.eq(ZERO) && held.lt(ZERO) !== change.lt(ZERO)

/** Whose what the account holds is after it. */
function divided(row: AccountPositionRow, ours: Decimal, change: Decimal, held: Decimal): AccountPositionRow {
  const nobodys = new Decimal(row.unattributed_qty)
  // Without a pause the books were right when the venue was compared last, and runs may have traded since.
  const open = row.paused_reason === null ? ZERO : new Decimal(row.venue_qty).minus(ours).minus(nobodys)
  const same = open.lt(ZERO) === change.lt(ZERO)
  const explained = !same ? ZERO : open.abs().lt(change.abs()) ? open : change
  const rest = change.minus(explained)
  const left = nobodys.minus(rest)
  const isThere =
    rest.eq(ZERO) || takes(held, change) || (nobodys.abs().gte(rest.abs()) && nobodys.lt(ZERO) === rest.lt(ZERO))
  if (!isThere) {
    const message = `${rest.abs()} more ${row.symbol} are given than there are: ${explained.abs()} are unexplained, and ${nobodys} nobody's`
    throw new DomainError('CONFLICT', message, { symbol: row.symbol })
  }
  return { ...row, runs_qty: ours.plus(change).toString(), unattributed_qty: left.toString(), paused_class: null }
}

type Booked = Pick<Outcome, 'writes' | 'events'> & { positions: PositionRow[] }

/** Of runs that are locked, each once. */
async function booked(
  { now, newId }: AccountCommandDependencies,
  reader: Reader,
  parts: readonly { run: RunRow; attribution: Attribution }[],
  { corrId }: CommandContext,
): Promise<Booked> {
  const all: { writes: Outcome['writes'][number][]; events: Outcome['events'][number][]; positions: PositionRow[] } = {
    ...{ writes: [], events: [], positions: [] },
  }
  for (const { run, attribution } of parts) {
    const ledger = await getRunLedger(reader, run.id)
    if (ledger === null) throw new DomainError('CONFLICT', `the run ${run.id} was never started`, { run_id: run.id })
    const held = await getPosition(reader, run.id, attribution.symbol)
    const made = { id: newId(), attributionId: newId(), corrId, at: now(), producer: 'glados' as const }
    const one = attributed(run, ledger, held, attribution, made)
    all.writes.push(...one.writes)
    all.events.push(one.event)
    all.positions.push(one.position)
    if (attribution.how === 'transfer') all.writes.push(...(await unsent(reader, run.id, one.event, made.at)))
  }
  return all
}

/** What waits for the symbol to go on would leave as a short sale: it ends where it is. What the venue has is cancelled by a job. */
async function unsent(reader: Reader, runId: string, { payload }: NewEvent, now: number): Promise<Write[]> {
  const told = payload as PayloadOf<'account.PositionAttributed'>
  const rows: OrderSendRow[] = []
  for (const { id } of closingTooMuch(await listOpenOrders(reader, runId), told)) {
    const send = await getOrderSend(reader, id)
    if (send === null || send.state === 'answered' || send.cancel_requested_at !== null) continue
    const cancel_requested_at = new Date(now).toISOString()
    rows.push({ ...send, cancel_requested_at, cancel_reason: 'it would close more than the run holds' })
  }
  return rows.length === 0 ? [] : [{ kind: 'save_order_sends', rows }]
}

/** The keeper looks at once whether all is explained now, and frees the symbol. */
async function told(
  { now }: AccountCommandDependencies,
  reader: Reader,
  account: AccountRow,
  after: AccountPositionRow,
  { writes, events }: Booked,
): Promise<Outcome> {
  await reader.query(`select pg_notify('weaver_account', '')`)
  const asked = { ...account, reconcile_requested_at: new Date(now()).toISOString() }
  return {
    writes: [...writes, { kind: 'save_account_positions', rows: [after] }, { kind: 'save_accounts', rows: [asked] }],
    events,
  }
}
