/** One reconciliation of an account: the venue is asked, its reports are applied, positions are compared, all is recorded. */
import type { NewEvent } from '../../../db/events/envelope.ts'
import type { AccountRow } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import {
  type AccountName,
  knownExecutions,
  lockAccount,
  openAccountOrders,
  ordersNamed,
  runsOfAccount,
} from '../../../db/walle/queries/accounts.ts'
import { tradedSymbols } from '../../../db/walle/queries/market.ts'
import type { Live } from '../../live/live.ts'
import { runOfClientOrder } from '../../marvin/contract.ts'
import { askFor, type Followed, successorsOf } from '../following.ts'
import type { Heard, Reported } from '../orders/reports.ts'
import type { Differences, Settling } from '../positions.ts'
import {
  compareOrders,
  type Finding,
  fitFindings,
  judgeMissing,
  type Missing,
  type OurOrder,
  replacedIn,
  restingLost,
  turnOf,
  unnamedIn,
} from '../reconcile.ts'
import {
  type Execution,
  type Venue,
  type VenueAccount,
  VenueError,
  type VenueOrder,
  type VenuePosition,
} from '../venue.ts'
import { isAnother, type Judged, judgeHoldings, mustKeep } from './holdings.ts'

export type Cause = 'start' | 'reconnect' | 'timer' | 'request'
export type Source = 'poll' | 'reconcile'

/** Records what a venue said of an order. */
export type ApplyReport = (heard: Heard) => Promise<Reported>

/** What a keeper remembers from one check to the next. Lost with it: the next one finds it anew. */
export interface Memory {
  missing: Missing
  differences: Differences
  /** What was told last, so that a thing that stays is told once. */
  told: ReadonlySet<string>
  /** The account's money as it was told last, and when. */
  money: { told: string; at: number } | null
}

export const NO_MEMORY: Memory = { missing: new Map(), differences: new Map(), told: new Set(), money: null }

/** What of a venue is asked here. */
export type AskedVenue = Followed & Pick<Venue, 'account' | 'positions' | 'orders' | 'executions'>

export interface Check extends AccountName {
  venue: AskedVenue
  cause: Cause
  source: Source
  /** The term of the keeper that checks: the account belongs to no other meanwhile. */
  keeper: string
  /** The newest request that this check answers; null: none. */
  requested: string | null
  stream: 'up' | 'down' | 'none'
  /** Why updates of orders do not reach us, for too long now; null: they do, or are about to. */
  lost: string | null
  /** Why polls stand in for the stream; null: they do not, or there is none. */
  polled: string | null
  memory: Memory
  settling: Settling
  /** Of a symbol, as the venue's features have it. */
  feeRate: (symbol: string) => string | null
}

export interface Checked {
  memory: Memory
  /** Symbols with a difference that may be a fill on its way. */
  unsettled: string[]
  openOrders: number
  /** The newest change that the venue told of only now; null: nothing was new. */
  newsAt: number | null
}

/** The venue's clock and ours differ, and what happened while it was asked is asked for again. */
const OVERLAP_MS = 300_000
/** At the first sight of an account. */
const FIRST_LOOK_MS = 86_400_000
/** While fills come in, what is asked first may not fit what is asked last. */
const LOOKS = 3
/** Looked up one by one; the others at the next check. */
const MOST_LOOKUPS = 50
/** An account with positions is worth something else at every look: that alone is told no more often. */
const MONEY_EVERY_MS = 60_000
/** What the stream would have told is no finding so soon. */
const FRESH_MS = 3_000

export interface Look {
  account: VenueAccount
  orders: VenueOrder[]
  executions: Execution[]
  positions: VenuePosition[]
}

export async function checkAccount(live: Live, apply: ApplyReport, check: Check): Promise<Checked> {
  const { venue, memory } = check
  const startedAt = live.now()
  const before = await live.db.write((tx) => lockAccount(tx, check))
  mustKeep(before, check)
  const since = Math.max(
    0,
    (before?.reconciled_at ? Date.parse(before.reconciled_at) : startedAt - FIRST_LOOK_MS) - OVERLAP_MS,
  )
  // Ours first: whatever is sent from here on is in the venue's answers or not, and is no order that it does not know.
  const open = await openAccountOrders(live.db.reader, check)
  const look = await lookAt(venue, since)
  await mustBeTheirs(live, check, before, look.account)
  const named = await ordersNamed(live.db.reader, check, namedIn(look), venueIdsIn(look))
  const ours = [...new Map([...open, ...named].map((order) => [order.client_order_id, order])).values()]
  const runs = await runsOfAccount(live.db.reader, check, runsNamedIn(look))
  const unnamed = new Map(unnamedIn(ours, look.orders).map((our) => [our.client_order_id, our]))
  const turn = turnOf([...unnamed.keys()], memory.missing, MOST_LOOKUPS)
  const asked = await lookUp(
    venue,
    turn.asked.flatMap((id) => unnamed.get(id) ?? []),
    startedAt,
  )
  const orders = await withSuccessors(venue, ours, newestOf([...look.orders, ...asked.orders]), startedAt)
  const found = compareOrders(ours, orders, look.executions, startedAt, runs)
  const missing = judgeMissing(open, { notFound: asked.notFound, notAsked: turn.rest }, memory.missing, live.now())
  const known = await knownExecutions(live.db.reader, check, idsOf(look.executions))
  let newsAt: number | null = null
  for (const { client_order_id: _, ...report } of found.reports) {
    const { order, execution } = report
    if (execution !== null && known.has(execution.execution_id)) continue
    const { exchange, mode, source } = check
    await apply({ exchange, mode, source, ...report })
    newsAt = Math.max(newsAt ?? 0, order?.updated_at ?? execution?.at ?? 0)
  }
  const news = found.findings.filter((finding) => isNews(finding, look.orders, check, startedAt))
  const { alive } = found
  const foreign = found.foreign.filter(({ execution_id }) => !known.has(execution_id))
  const lost = found.lost.filter(({ execution }) => !known.has(execution.execution_id))
  const told = await live.db.write(async (tx) => {
    const seen = { look, startedAt, foreign, lost, resting: restingLost(look.orders, found) }
    const judged = await judgeHoldings(live, tx, check, seen)
    const findings = [...news, ...alive, ...missing.findings, ...judged.positions.findings]
    const account = accountAfter(live, check, { startedAt, look, judged })
    const money = moneyToTell(live, check, judged.account, account)
    const strange = [...foreign, ...lost.map(({ execution }) => execution)]
    const results = { since, look, strange, findings, alive, missing, judged, account, money }
    await live.record(tx, recordable(live, check, results))
    return { ...judged.positions, findings, money: money ?? memory.money }
  })
  return {
    memory: {
      missing: missing.missing,
      differences: told.differences,
      told: new Set(told.findings.map(keyOf)),
      money: told.money,
    },
    unsettled: told.unsettled,
    openOrders: open.length,
    newsAt,
  }
}

/** Runs that began in one account do not go on in another, to which somebody has set the credentials. */
async function mustBeTheirs(
  { db }: Live,
  { exchange, mode }: AccountName,
  before: AccountRow,
  { account_number: now }: VenueAccount,
): Promise<void> {
  const known = before.account_number
  if (known === null || known === now || (await tradedSymbols(db.reader, exchange, mode)).length === 0) return
  const cure = `set those of ${known}, or stop the runs`
  throw new VenueError(
    'refused',
    `the credentials are those of the account ${now}, and runs trade in ${known}: ${cure}`,
  )
}

/** Executions last again: when more came in meanwhile, the positions may hold them, and all is asked for anew. */
async function lookAt(venue: AskedVenue, since: number): Promise<Look> {
  let executions = await venue.executions(since)
  for (let looks = 1; ; looks++) {
    const orders = [...(await venue.orders({ open: true })), ...(await venue.orders({ since }))]
    const positions = await venue.positions()
    const account = await venue.account()
    const again = await venue.executions(since)
    const same = again.length === executions.length
    executions = again
    if (same || looks === LOOKS) return { account, orders: newestOf(orders), executions, positions }
  }
}

/** Of an order that was named twice, what was said later. */
function newestOf(orders: readonly VenueOrder[]): VenueOrder[] {
  const newest = new Map<string, VenueOrder>()
  for (const order of orders) {
    const known = newest.get(order.exchange_order_id)
    if (known === undefined || order.updated_at >= known.updated_at) newest.set(order.exchange_order_id, order)
  }
  return [...newest.values()]
}

function namedIn({ orders, executions }: Look): string[] {
  const named = [...orders, ...executions].flatMap(({ client_order_id }) => client_order_id ?? [])
  return [...new Set(named)]
}

/** With what they took the place of. */
function venueIdsIn({ orders, executions }: Look): string[] {
  const ids = [
    ...orders.flatMap(({ exchange_order_id, replaces }) => [exchange_order_id, replaces ?? exchange_order_id]),
    ...executions.map(({ exchange_order_id }) => exchange_order_id),
  ]
  return [...new Set(ids)]
}

function runsNamedIn(look: Look): string[] {
  return [...new Set(namedIn(look).flatMap((id) => runOfClientOrder(id) ?? []))]
}

function idsOf(executions: readonly Execution[]): string[] {
  return executions.map(({ execution_id }) => execution_id)
}

async function lookUp(
  venue: AskedVenue,
  ours: readonly OurOrder[],
  now: number,
): Promise<{ orders: VenueOrder[]; notFound: string[] }> {
  const orders: VenueOrder[] = []
  const notFound: string[] = []
  for (const our of ours) {
    const report = await askFor(venue, our, now)
    if (report?.order == null) notFound.push(our.client_order_id)
    else orders.push(report.order, ...(report.successors ?? []))
  }
  return { orders, notFound }
}

/** With what took the place of ours, as far as the venue knows it. */
async function withSuccessors(
  venue: AskedVenue,
  ours: readonly OurOrder[],
  orders: readonly VenueOrder[],
  now: number,
): Promise<VenueOrder[]> {
  const all = [...orders]
  for (const order of replacedIn(ours, orders)) all.push(...(await successorsOf(venue, order, now, all)).successors)
  return newestOf(all)
}

/** With a stream that is up, only what it should have told by now; where updates are polled, news is what polls are for. */
function isNews(finding: Finding, orders: readonly VenueOrder[], { cause, source }: Check, now: number): boolean {
  if (finding.class === 'foreign_order' || finding.class === 'lost_order' || cause === 'start' || cause === 'reconnect')
    return true
  if (source === 'poll') return false
  const order = orders.find(({ client_order_id }) => client_order_id === finding.client_order_id)
  return order === undefined || order.updated_at < now - FRESH_MS
}

interface Results {
  since: number
  look: Look
  /** Fills of orders that are not on record. */
  strange: readonly Execution[]
  findings: readonly Finding[]
  alive: readonly Finding[]
  missing: { findings: readonly Finding[] }
  judged: Judged
  /** As it is from now on. */
  account: AccountRow
  money: Memory['money']
}

function accountAfter(
  live: Live,
  check: Check,
  { startedAt, look, judged }: Pick<Results, 'look' | 'judged'> & { startedAt: number },
): AccountRow {
  const { account_number, currency, cash, equity, buying_power, blocked } = look.account
  return {
    ...judged.account,
    ...stateOf(check, judged),
    account_number,
    // What was traded in the account of before is not held here.
    ...(isAnother(judged.account, { look }) ? { number_since: new Date(startedAt).toISOString() } : {}),
    currency,
    cash,
    equity,
    buying_power,
    blocked,
    stream: check.stream,
    checked_at: new Date(live.now()).toISOString(),
    reconciled_at: new Date(startedAt).toISOString(),
  }
}

/** What is told of the account now; null: nothing. */
function moneyToTell(live: Live, { memory }: Check, before: AccountRow, after: AccountRow): Memory['money'] {
  const at = live.now()
  const told = [after.cash, after.equity, after.buying_power].join(' ')
  const stateChanged = before.state !== after.state || before.state_reason !== after.state_reason
  const due = memory.money === null || at - memory.money.at >= MONEY_EVERY_MS
  return stateChanged || (due && memory.money?.told !== told) ? { told, at } : null
}

function recordable(live: Live, check: Check, results: Results): Outcome {
  const { judged, strange, account } = results
  const { exchange, mode } = check
  return {
    writes: [
      { kind: 'save_accounts', rows: [account] },
      { kind: 'save_account_positions', rows: judged.positions.rows },
      ...judged.attributed.writes,
      {
        kind: 'insert_venue_updates',
        rows: strange.map((execution) => ({
          exchange,
          mode,
          source: check.source,
          client_order_id: execution.client_order_id,
          execution_id: execution.execution_id,
          payload: { order: null, execution: { ...execution } },
        })),
      },
    ],
    events: [...eventsOf(live, check, results), ...judged.attributed.events],
    jobs: judged.fits,
  }
}

function stateOf(
  { lost, polled, stream, requested }: Check,
  { account, positions }: Judged,
): Pick<AccountRow, 'state' | 'state_reason'> {
  if (lost !== null) return { state: 'unknown', state_reason: lost }
  if (account.state === 'ready') return { state: 'ready', state_reason: polled }
  // Whoever wants it to be asked first means after that.
  if (account.reconcile_requested_at !== requested) return { state: 'unknown', state_reason: account.state_reason }
  if (stream === 'down') return { state: 'unknown', state_reason: 'waiting for its stream of order updates' }
  // A difference that may be a fill on its way is waited for before the first order leaves, and not after.
  const { unsettled } = positions
  if (unsettled.length > 0) return { state: 'unknown', state_reason: `waiting for fills in ${unsettled.join(', ')}` }
  return { state: 'ready', state_reason: polled }
}

function eventsOf(live: Live, check: Check, results: Results): NewEvent[] {
  const { exchange, mode, cause, memory } = check
  const { judged, look, findings, account } = results
  const at = new Date(live.now()).toISOString()
  const corr_id = judged.corrId
  const base = () => ({
    id: live.newId(),
    run_id: null,
    corr_id,
    causation_id: null,
    ts: at,
    producer: 'veda' as const,
  })
  const events: NewEvent[] = []
  const fresh = findings.some((finding) => !memory.told.has(keyOf(finding)))
  if (cause !== 'timer' || fresh) {
    const payload = {
      exchange,
      mode,
      cause,
      since: new Date(results.since).toISOString(),
      orders_checked: look.orders.length,
      ...fitFindings(findings),
    }
    events.push({ ...base(), type: 'account.Reconciled', payload })
  }
  const prices = new Map(look.positions.map(({ symbol, avg_price }) => [symbol, avg_price]))
  for (const { symbol, qty } of judged.moved) {
    const payload = { exchange, mode, symbol, qty, avg_price: prices.get(symbol) ?? '0' }
    events.push({ ...base(), type: 'account.PositionChanged', payload })
  }
  const alarms = [
    ...judged.positions.paused.map(({ symbol, reason }) => `${symbol} is paused: ${reason}`),
    ...[...results.alive, ...results.missing.findings]
      .filter((finding) => !memory.told.has(keyOf(finding)))
      .map(({ client_order_id, detail }) => `order ${client_order_id}: ${detail}`),
    ...renumbered(judged.account.account_number, account.account_number),
  ]
  for (const message of alarms) {
    events.push({ ...base(), type: 'system.Error', payload: { part: `account ${exchange} ${mode}`, message } })
  }
  if (results.money !== null) events.push({ ...base(), ...updated(account) })
  return events
}

function renumbered(before: string | null, now: string | null): string[] {
  if (before === null || before === now) return []
  return [`the credentials are those of another account than before: ${now}, it was ${before}`]
}

export function updated(account: AccountRow) {
  const { exchange, mode, state, state_reason, cash, equity, buying_power } = account
  return {
    type: 'account.Updated' as const,
    payload: { exchange, mode, state, state_reason, cash, equity, buying_power },
  }
}

function keyOf({ class: kind, symbol, client_order_id, detail }: Finding): string {
  // Its details may count seconds.
  return [kind, symbol, client_order_id, kind === 'order_missing' ? '' : detail].join(' ')
}
