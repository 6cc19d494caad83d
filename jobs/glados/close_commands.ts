/**
 * A person gets out of what a paper or live run holds: one order at the market for each position, by the way of all orders.
 * Under the run's lock it is told apart whether an order closes the position already, so that who presses twice, or again
 * because the answer was lost, is given the first one.
 */
import type { Reader } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { orderId } from '../../db/events/ids.ts'
import type { EventType } from '../../db/events/registry.ts'
import { OUTSIDE, sessionEndingAfter, tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import type { TradingMode } from '../../db/walle/live_rows.ts'
import { getAccount } from '../../db/walle/queries/accounts.ts'
import { type Hindrance, hindranceOf, unplacedByHand } from '../../db/walle/queries/live_orders.ts'
import { openPositions, openSentOrders, type SentOrder } from '../../db/walle/queries/live_runs.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import type { OrderRow, PositionRow, RunRow } from '../../db/walle/rows.ts'
import { handOrderId } from '../marvin/contract.ts'
import { closingIntent, closingOf } from './closing.ts'
import type { CommandContext, CommandDependencies } from './commands.ts'
import { DomainError } from './errors.ts'
import { chooseExchange } from './live_runs.ts'

type CloseDependencies = Pick<CommandDependencies, 'recorder' | 'now' | 'newId' | 'exchanges'>

export interface CloseRequest {
  /** Absent: all that the run holds. */
  symbol?: string | undefined
  /** Who asks, for the record. */
  by: string
}

/** The order that closes a position, which is on record a moment later. */
export interface ClosingOrder {
  symbol: string
  side: OrderRow['side']
  qty: string
  order_id: string
  client_order_id: string
  /** Somebody asked before, or it is its strategy's. */
  already: boolean
  /** What it has to wait for; null: nothing is known. */
  waits_for: string | null
}

export interface ClosingOrders {
  items: ClosingOrder[]
  /** What cannot be closed now, and why. */
  refused: { symbol: string; reason: string }[]
}

export const CLOSED_BY_HAND = 'closed by hand'

export function createCloseCommands(deps: CloseDependencies) {
  return {
    closePositions: (runId: string, request: CloseRequest, context: CommandContext) =>
      closePositions(deps, runId, request, context),
  }
}

export type CloseCommands = ReturnType<typeof createCloseCommands>

/** A run at an exchange that is known, and what of it is looked at, all in one transaction. */
interface Look {
  run: RunRow
  open: readonly SentOrder[]
  /** Asked for, and not on record yet. */
  asked: readonly { symbol: string; side: OrderRow['side']; qty: string; client_order_id: string }[]
  now: number
}

function closePositions(
  deps: CloseDependencies,
  id: string,
  request: CloseRequest,
  { corrId }: CommandContext,
): Promise<ClosingOrders> {
  return deps.recorder(async (tx) => {
    const run = await mustTrade(deps, tx, await lockRun(tx, id), id)
    const held = (await openPositions(tx, id)).filter(({ symbol }) => symbol === (request.symbol ?? symbol))
    if (held.length === 0) {
      const message = `run ${id} holds ${request.symbol === undefined ? 'nothing' : `no ${request.symbol}`}`
      throw new DomainError('CONFLICT', `${message}: there is nothing to close`, { symbol: request.symbol ?? null })
    }
    const [open, asked] = await Promise.all([openSentOrders(tx, id), unplacedByHand(tx, id)])
    const look: Look = { run, open, asked, now: deps.now() }
    const items: ClosingOrder[] = []
    const refused: ClosingOrders['refused'] = []
    const events: NewEvent[] = []
    for (const position of held) {
      const { symbol } = position
      const hindrance = await hindranceOf(tx, run, symbol)
      const reason = refusalOf(symbol, hindrance)
      if (reason !== null) {
        refused.push({ symbol, reason })
        continue
      }
      const order = orderFor(look, position)
      items.push({ ...order, waits_for: waitsFor(symbol, hindrance, look.now) })
      if (!order.already) events.push(command(deps, look, order, request.by, corrId))
    }
    if (items.length === 0) {
      throw new DomainError('CONFLICT', refused.map((one) => one.reason).join('; '), { refused })
    }
    return { outcome: { writes: [], events }, result: { items, refused } }
  })
}

/** It is there, and what it holds is in an account that can be reached. */
async function mustTrade(deps: CloseDependencies, tx: Reader, run: RunRow | null, id: string): Promise<RunRow> {
  if (run === null) throw new DomainError('NOT_FOUND', `there is no run ${id}`)
  if (run.mode === 'backtest') {
    const message = 'the positions of a backtest are simulated: nobody can close one by hand'
    throw new DomainError('INVALID_RUN_MODE', message, { mode: run.mode })
  }
  if (run.status === 'pending') {
    throw new DomainError('CONFLICT', `run ${id} has not been started: it holds nothing`, { status: run.status })
  }
  const exchange = chooseExchange(deps.exchanges(), run.mode, run.exchange ?? undefined)
  const account = await getAccount(tx, { exchange, mode: run.mode as TradingMode })
  const since = account?.number_since ?? null
  if (since !== null && run.started_at !== null && run.started_at < since) {
    const message = `run ${id} traded in another account: the credentials are those of ${account?.account_number} since ${since}, and what the run holds is not there`
    throw new DomainError('CONFLICT', message, { run_id: id })
  }
  return run
}

/** Whoever wants out must hear at once that nothing would leave, and what to do. */
function refusalOf(symbol: string, { system_halt, paused_reason }: Hindrance): string | null {
  if (system_halt) {
    return 'the system is halted, and nothing leaves but cancels: `weaver resume` comes first, or close it on the page of the exchange'
  }
  return paused_reason === null ? null : `nothing leaves in ${symbol} while it is paused: ${paused_reason}`
}

type Found = Omit<ClosingOrder, 'waits_for'>

function orderFor({ run, open, asked, now }: Look, { symbol, qty }: PositionRow): Found {
  const before = asked.find((one) => one.symbol === symbol)
  if (before !== undefined) return { ...before, order_id: orderId(run.id, before.client_order_id), already: true }
  const closing = closingOf(symbol, qty, open)
  if (closing.kind === 'nothing held') throw new Error(`the position of ${run.id} in ${symbol} is none`)
  if (closing.kind === 'closing') {
    const { id: order_id, client_order_id, side, qty: size } = closing.order
    return { symbol, side, qty: size, order_id, client_order_id, already: true }
  }
  const client_order_id = handOrderId(run.id, now, run.symbols.indexOf(symbol))
  const order_id = orderId(run.id, client_order_id)
  return { symbol, side: closing.side, qty: closing.qty, order_id, client_order_id, already: false }
}

/** Null also where the calendar does not know: the venue does. */
function waitsFor(symbol: string, { account_ready, account_reason }: Hindrance, now: number): string | null {
  if (!account_ready) return `the account, which is not ready: ${account_reason ?? 'nobody keeps it'}`
  const session = tradesAroundTheClock(symbol) ? OUTSIDE : sessionEndingAfter(now)
  if (session === OUTSIDE || session.open <= now) return null
  return `the opening at ${new Date(session.open).toISOString()}: the market is closed`
}

function command(
  { newId }: CloseDependencies,
  { run, now }: Look,
  { symbol, side, qty, client_order_id }: Found,
  by: string,
  corrId: string,
): Extract<NewEvent, { type: 'live.PlaceOrder' }> {
  const type = 'live.PlaceOrder' satisfies EventType
  return {
    ...{ id: newId(), type, run_id: run.id, corr_id: corrId, causation_id: null },
    ...{ ts: new Date(now).toISOString(), producer: 'glados' },
    payload: { by, intent: closingIntent({ client_order_id, symbol, side, qty, reason: CLOSED_BY_HAND }) },
  }
}
