/**
 * How a paper or live run ends, whatever ends it: its open orders are cancelled but for exits that protect a position;
 * positions stay, and are shown, unless who stops it wants them closed. The venue's answers come later, and are booked as
 * ever.
 */
import type { Reader, WriteTx } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import { getEvent } from '../../db/events/read.ts'
import type { TaskPayload } from '../../db/events/tasks.ts'
import { redactValue } from '../../db/secrets.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { hindranceOf } from '../../db/walle/queries/live_orders.ts'
import { lastBarIndex, openPositions, openSentOrders } from '../../db/walle/queries/live_runs.ts'
import { listRunOrdersByClientId } from '../../db/walle/queries/orders.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import type { OrderRow, PositionRow, RunError, RunRow } from '../../db/walle/rows.ts'
import type { RunningJob } from '../backtest/jobs.ts'
import { closingIntent } from '../glados/closing.ts'
import { isOwn, onlyCloses, restOf, worstPosition } from '../glados/worst_case.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { clientOrderId, isByHand } from '../marvin/contract.ts'
import { haltedBy, waitsFor } from '../veda/orders/hindrances.ts'
import { cancelOutcome } from '../veda/orders/placing.ts'
import { refuseUnplaced } from '../veda/orders/refusals.ts'
import type { Live } from './live.ts'
import { liveStats } from './result.ts'
import { getLiveCheckpoint, type LiveTick } from './ticks.ts'

/** What somebody who stops a run asks for; as the event run.StopRequested has it. */
export interface StopOptions {
  cancel_orders: boolean
  close_positions: boolean
}

export type EndingJobs = Pick<Live, 'now' | 'newId'>

/** How long a run that stops waits for the venue to confirm that its orders are gone, or that positions are closed. */
const CONFIRM_MS = 30_000
const LOOK_AGAIN_MS = 250
/** How long it waits for the tick that was under way when it was told to: a strategy's time, and the wait for bars. */
const LAST_TICK_MS = 60_000

const ENDED: readonly OrderRow['status'][] = ['filled', 'cancelled', 'rejected', 'expired']
const STOPS: readonly OrderRow['order_type'][] = ['stop', 'stop_limit', 'trailing_stop']

type Protector = Pick<
  OrderRow,
  'client_order_id' | 'symbol' | 'side' | 'qty' | 'filled_qty' | 'order_type' | 'parent_order_id'
>

/**
 * Of a run's open orders, oldest first, those that protect what it holds: exits attached to an entry, and stops that make the
 * position smaller; and those by which a person gets out of it, who wants that whatever becomes of the run. Together they close
 * no more than is held: what went beyond would open the other side.
 */
export function protectors<T extends Protector>(
  open: readonly T[],
  positions: readonly Pick<PositionRow, 'symbol' | 'qty'>[],
): Set<T> {
  const held = new Map(positions.map(({ symbol, qty }) => [symbol, new Decimal(qty)]))
  const left = new Map(held)
  const protecting = open.filter((order) => {
    const { symbol } = order
    const asked = { ...order, qty: restOf(order).toString() }
    // An exit is made smaller with the position.
    if (!isOwn(order)) return onlyCloses({ ...asked, qty: '0' }, held.get(symbol) ?? ZERO, [])
    const before = left.get(symbol) ?? ZERO
    const mayStay = STOPS.includes(order.order_type) || isByHand(order)
    if (!mayStay || !onlyCloses(asked, before, [])) return false
    left.set(symbol, worstPosition(asked, before, []))
    return true
  })
  return new Set(protecting)
}

export async function isProtector(tx: Reader, { id, run_id }: OrderRow): Promise<boolean> {
  const [open, positions] = await Promise.all([openSentOrders(tx, run_id), openPositions(tx, run_id)])
  return [...protectors(open, positions)].some((order) => order.id === id)
}

/** The end that an error makes, in the caller's transaction, which holds the run's lock. */
export async function endRun(jobs: EndingJobs, tx: WriteTx, run: RunRow, told: RunError): Promise<Outcome> {
  const failure = redactValue(told) as RunError
  const event = ending(jobs, run, 'run.Error', {
    run_id: run.id,
    message: failure.message,
    stack: failure.stack ?? null,
    bar_index: failure.bar_index ?? null,
    ts: failure.ts ?? null,
  })
  const positions = await openPositions(tx, run.id)
  const open = await openSentOrders(tx, run.id)
  const wanted = protectors(open, positions)
  const unwanted = open.filter((order) => !wanted.has(order))
  const cancels = await cancelOutcome(tx, unwanted, 'the run has ended', jobs.now())
  const over = await overOutcome(jobs, tx, run, event, { status: 'error', error: failure })
  return { ...over, writes: [...over.writes, ...cancels.writes], jobs: cancels.jobs ?? [] }
}

/** What every end changes of a run, told by its event: what was asked for and not carried out is refused, and said. */
async function overOutcome(
  jobs: EndingJobs,
  tx: WriteTx,
  run: RunRow,
  event: NewEvent,
  end: { status: 'stopped'; cautions: readonly string[] } | { status: 'error'; error: RunError },
): Promise<Outcome> {
  const { tick } = await getLiveCheckpoint(tx, run.id)
  const commands = [...(tick?.pending ?? []), ...(await closingCommands(tx, run))]
  const unplaced = await refuseUnplaced(tx, run, commands, jobs.now())
  const cautions = end.status === 'stopped' ? end.cautions : []
  return {
    writes: [
      ...unplaced.writes,
      {
        kind: 'update_run',
        id: run.id,
        changes: {
          ...end,
          stopped_at: event.ts,
          last_event_id: event.id,
          open_corr_id: null,
          cautions: [...run.cautions, ...cautions, ...undecided(tick)],
          stats: await liveStats(tx, run),
        },
      },
      { kind: 'drop_checkpoint', run_id: run.id },
    ],
    events: [...unplaced.events, event],
  }
}

/** Asked for in onTick, before the windows that the strategy wanted to see: no decision was made of it. */
function undecided(tick: LiveTick | null): string[] {
  const asked = tick?.asked.intents ?? []
  if (asked.length === 0) return []
  const what = asked.map((intent) =>
    intent.kind === 'place' ? `${intent.side} ${intent.qty} ${intent.symbol}` : `cancel ${intent.client_order_id}`,
  )
  return [`when it ended it had not decided yet, and nothing was done of what it had asked for: ${what.join(', ')}`]
}

interface EndJob extends RunningJob {
  putBack(delayMs: number): Promise<never>
}

/** `veda.end_run`: one look at a run that is to stop, again and again until there is nothing left to wait for. */
export async function endStoppedRun(
  jobs: Pick<Live, 'db' | 'record' | 'now' | 'newId'>,
  payload: TaskPayload<'veda.end_run'>,
  job: EndJob,
): Promise<void> {
  job.signal.throwIfAborted()
  const isOver = await jobs.db.write(async (tx) => {
    const run = await lockRun(tx, payload.run_id)
    const step = run?.status === 'running' && run.stop_requested !== null ? await nextStep(jobs, tx, run) : null
    if (step) await jobs.record(tx, step.outcome)
    if (step?.again) return false
    await job.finish(tx)
    return true
  })
  if (!isOver) await job.putBack(LOOK_AGAIN_MS)
}

interface Step {
  outcome: Outcome
  /** There is something to wait for. */
  again: boolean
}

const NOTHING: Outcome = { writes: [], events: [] }

async function nextStep(jobs: EndingJobs, tx: WriteTx, run: RunRow): Promise<Step> {
  const { cancel_orders, close_positions } = run.stop_requested as unknown as StopOptions
  const positions = await openPositions(tx, run.id)
  const open = await openSentOrders(tx, run.id)
  const byHand = open.filter(isByHand)
  const closings = await closingOrders(tx, run, close_positions ? byHand : [])
  const stuck = close_positions ? await stuckSymbols(tx, run, positions) : new Map<string, string>()
  const isClosing = (order: OrderRow) =>
    closings.ids.has(order.client_order_id) || byHand.some(({ id }) => id === order.id)
  const wanted = protectors(open, positions)
  // Exits make room for what closes when it leaves. A stop of the strategy's own has to be gone before that is placed.
  const makesWay = ({ parent_order_id, symbol }: OrderRow) =>
    close_positions && parent_order_id === null && !stuck.has(symbol)
  const isUnwanted = (order: (typeof open)[number]) =>
    wanted.has(order) ? makesWay(order) : cancel_orders || close_positions
  const unwanted = open.filter((order) => !isClosing(order) && isUnwanted(order))
  const cancels = await cancelOutcome(tx, unwanted, 'the run is to stop', jobs.now())
  if (cancels.writes.length > 0) return { outcome: cancels, again: true }
  // The venue has the last word, but a run does not wait for it for ever.
  const waiting = unwanted.filter(({ cancel_requested_at }) => isRecent(jobs, cancel_requested_at))
  if (waiting.length > 0) return { outcome: NOTHING, again: true }
  // What its strategy has asked for is carried out, or refused, before it has stopped.
  const isBusy = await isUnderWay(tx, run)
  if (isBusy && isRecent(jobs, await stopRequestedAt(tx, run), LAST_TICK_MS)) return { outcome: NOTHING, again: true }
  if (close_positions) {
    const events = closeAll(jobs, run, closings, positions)
    const told = await Promise.all(events.map(({ id }) => getEvent(tx, id)))
    const untold = events.filter((_, index) => told[index] === null)
    if (untold.length > 0) return { outcome: { writes: [], events: untold }, again: true }
    if (told.some((event) => isRecent(jobs, event?.ts ?? null))) return { outcome: NOTHING, again: true }
  }
  const pending = closings.orders.filter(({ status }) => !ENDED.includes(status))
  if (pending.some(({ placed_at }) => isRecent(jobs, placed_at))) return { outcome: NOTHING, again: true }
  return {
    outcome: await overOutcome(jobs, tx, run, ending(jobs, run, 'run.Stopped', { run_id: run.id }), {
      status: 'stopped',
      cautions: leftOver({ isBusy, unwanted, pending, positions, close_positions, stuck }),
    }),
    again: false,
  }
}

function isRecent({ now }: EndingJobs, at: string | null, mostMs = CONFIRM_MS): boolean {
  return at !== null && now() - Date.parse(at) < mostMs
}

/** Those of what is held in which nothing may leave now, and why: what protects there is not given up for nothing. */
async function stuckSymbols(tx: Reader, run: RunRow, positions: readonly PositionRow[]): Promise<Map<string, string>> {
  const stuck = new Map<string, string>()
  for (const { symbol } of positions) {
    const hindrance = await hindranceOf(tx, run, symbol)
    const why = haltedBy(hindrance, null) ?? waitsFor(hindrance)
    if (why !== null) stuck.set(symbol, why)
  }
  return stuck
}

/** A tick is not done, or something that the strategy asked for between two ticks is not carried out. */
async function isUnderWay(tx: Reader, run: RunRow): Promise<boolean> {
  if (run.open_corr_id !== null) return true
  const { tick } = await getLiveCheckpoint(tx, run.id)
  return tick !== null && tick.pending.length > 0
}

async function stopRequestedAt(tx: Reader, run: RunRow): Promise<string | null> {
  const event = run.last_event_id === null ? null : await getEvent(tx, run.last_event_id)
  return event?.type === 'run.StopRequested' ? event.ts : null
}

/**
 * No tick comes any more, so the numbers of a tick beyond the last one are free for the orders that close. They are the same
 * before and after the tick that is under way has ended.
 */
async function closingTick(tx: Reader, run: RunRow): Promise<number> {
  const last = await lastBarIndex(tx, run.id)
  return Math.max(run.next_tick, (last ?? -1) + 1) + 1
}

interface Closings {
  barIndex: number
  ids: Set<string>
  orders: OrderRow[]
}

/** `others`: that close what it holds already. */
async function closingOrders(tx: Reader, run: RunRow, others: readonly OrderRow[]): Promise<Closings> {
  const barIndex = await closingTick(tx, run)
  const ids = run.symbols.map((_, ordinal) => clientOrderId(run.id, barIndex, ordinal))
  return { barIndex, ids: new Set(ids), orders: [...(await listRunOrdersByClientId(tx, run.id, ids)), ...others] }
}

/** Of the end of a run that is to close what it holds: ids of all that it may have asked for. */
async function closingCommands(tx: Reader, run: RunRow): Promise<string[]> {
  if ((run.stop_requested as unknown as StopOptions | null)?.close_positions !== true) return []
  const barIndex = await closingTick(tx, run)
  return run.symbols.map((_, ordinal) => tickEventId(run.id, barIndex, ordinal))
}

/** Commands for the positions that no order is to close yet. */
function closeAll(
  jobs: EndingJobs,
  run: RunRow,
  { barIndex: bar_index, orders }: Closings,
  positions: readonly PositionRow[],
): NewEvent[] {
  const unclosed = positions.filter((position) => !orders.some(({ symbol }) => symbol === position.symbol))
  return unclosed.map(({ symbol, qty }) => {
    const ordinal = run.symbols.indexOf(symbol)
    const held = new Decimal(qty)
    return {
      id: tickEventId(run.id, bar_index, ordinal),
      type: 'live.PlaceOrder',
      run_id: run.id,
      corr_id: run.open_corr_id ?? run.id,
      causation_id: run.last_event_id,
      ts: new Date(jobs.now()).toISOString(),
      producer: 'glados',
      payload: {
        bar_index,
        ordinal,
        intent: closingIntent({
          client_order_id: clientOrderId(run.id, bar_index, ordinal),
          symbol,
          side: held.gt(0) ? 'sell' : 'buy',
          qty: held.abs().toString(),
          reason: 'the run was stopped',
        }),
      },
    }
  })
}

interface LeftOver {
  isBusy: boolean
  unwanted: readonly OrderRow[]
  /** Orders that close positions. */
  pending: readonly OrderRow[]
  positions: readonly PositionRow[]
  close_positions: boolean
  /** By symbol, why nothing leaves. */
  stuck: ReadonlyMap<string, string>
}

/** What a person should look at. */
function leftOver({ isBusy, unwanted, pending, positions, close_positions, stuck }: LeftOver): string[] {
  const names = (orders: readonly OrderRow[]) => orders.map(({ client_order_id }) => client_order_id).join(', ')
  return [
    ...(isBusy
      ? ['when it stopped its last tick was not done: of what was asked for there nothing more is placed']
      : []),
    ...(unwanted.length > 0 ? [`when it stopped the venue had not confirmed the end of ${names(unwanted)}`] : []),
    ...(pending.length > 0 ? [`when it stopped these orders that close positions were open: ${names(pending)}`] : []),
    ...(close_positions && positions.length > 0
      ? [`when it stopped it still held ${positions.map(({ qty, symbol }) => `${qty} ${symbol}`).join(', ')}`]
      : []),
    ...(stuck.size > 0
      ? [
          `what protects was not taken away where no order could close: ${[...stuck].map((why) => why.join(', ')).join('; ')}`,
        ]
      : []),
  ]
}

function ending<T extends 'run.Error' | 'run.Stopped'>(
  { now, newId }: EndingJobs,
  run: RunRow,
  type: T,
  payload: Extract<NewEvent, { type: T }>['payload'],
): Extract<NewEvent, { type: T }> {
  return {
    id: newId(),
    type,
    run_id: run.id,
    corr_id: run.open_corr_id ?? run.id,
    causation_id: run.last_event_id,
    ts: new Date(now()).toISOString(),
    producer: 'glados',
    payload,
  } as Extract<NewEvent, { type: T }>
}
