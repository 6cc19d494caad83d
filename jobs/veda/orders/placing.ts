/** What strategies ask for becomes orders on record, or is refused; nothing is sent here (sending.ts sends). */
import type { Database, Reader, WriteTx } from '../../../db/database.ts'
import { claim, isClaimed } from '../../../db/events/claims.ts'
import type { LogEvent } from '../../../db/events/envelope.ts'
import { isOpen } from '../../../db/events/order_state.ts'
import { getEvent } from '../../../db/events/read.ts'
import type { NewJob, TaskPayload } from '../../../db/events/tasks.ts'
import type { RunLedgerRow, TradingMode } from '../../../db/walle/live_rows.ts'
import type { Outcome } from '../../../db/walle/outcome.ts'
import {
  getOrderSend,
  getPosition,
  hindranceOf,
  orderByClientId,
  unfinishedSends,
} from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger, openPositions, openSentOrders } from '../../../db/walle/queries/live_runs.ts'
import { listOpenOrders } from '../../../db/walle/queries/orders.ts'
import { getRun, lockRun } from '../../../db/walle/queries/runs.ts'
import type { OrderRow, RunRow } from '../../../db/walle/rows.ts'
import type { Json, PlaceIntent } from '../../../strategies/api.ts'
import type { Job } from '../../attempt.ts'
import { wallClock } from '../../glados/clock.ts'
import { closingOf } from '../../glados/closing.ts'
import { checkRisk, type RiskLimits } from '../../glados/risk.ts'
import { isOwn } from '../../glados/worst_case.ts'
import { Decimal, ZERO } from '../../greta/decimals.ts'
import { countOrder, lossesOf, newWatch, type RiskWatch } from '../../greta/risk_watch.ts'
import { sharesPerHeld, splitsOf } from '../../greta/splits.ts'
import type { Live } from '../../live/live.ts'
import { commandDone, getLiveCheckpoint, isOldestCommand } from '../../live/ticks.ts'
import { checkIntent } from '../../marvin/intents.ts'
import { checkVenue, closableQty, fittedTo, type Holding } from '../checks.ts'
import type { VenueAsset, VenueFeatures } from '../venue.ts'
import { inTime } from '../venues/in_time.ts'
import { tooLateByHand, tooOld } from './age.ts'
import { cancelWanted } from './exits.ts'
import { checkFunds } from './funds.ts'
import { haltedBy, MAKE_ROOM_MS, waitsFor } from './hindrances.ts'
import { closableBy, holdingOf } from './holding.ts'
import { cancelJob, submitJob } from './job_specs.ts'
import { commandedOrder, type LiveRun, type PlaceCommand, type Refusal, refusedOutcome, tickOf } from './refusals.ts'

export type OrderJobs = Pick<Live, 'record' | 'venues' | 'now' | 'newId' | 'log'> & { db: Database }
export type OrderJob = Pick<Job, 'signal' | 'finish' | 'putBack'>

/** A command that comes before its turn looks again after this long. */
const PUT_BACK_MS = 200
/** A venue that says nothing for so long does not tell what is asked for. */
const ASSET_MS = 2_000

/** What is known of the venue without it being asked within a transaction; null: it does not answer. */
interface VenueWords {
  features: VenueFeatures
  asset: VenueAsset | null
}

export async function placeOrder(
  jobs: OrderJobs,
  payload: TaskPayload<'veda.place_order'>,
  job: OrderJob,
): Promise<void> {
  const [event, run, isOldest] = await jobs.db.read((reader) =>
    Promise.all([
      commandOf(reader, payload.event_id, 'live.PlaceOrder'),
      getRun(reader, payload.run_id),
      isOldestCommand(reader, payload.run_id, payload.event_id),
    ]),
  )
  if (!isOldest) return job.putBack(PUT_BACK_MS)
  const byHand = isAskedByHand(event)
  const places = run?.status === 'running' || (run !== null && byHand)
  const words = places ? await askVenue(jobs, run, event.payload.intent as PlaceIntent) : null
  if (byHand && !(await hasRoom(jobs, payload, event, words))) return job.putBack(PUT_BACK_MS)
  const decide = (tx: WriteTx, locked: LiveRun) => place(jobs, tx, locked, event, words)
  // A person gets out of what a run has left behind as well.
  await carryOut(jobs, 'veda.place_order', payload, job, { outlives: byHand, decide })
}

function isAskedByHand({ payload }: PlaceCommand): boolean {
  return payload.by !== undefined
}

/**
 * A person closes a position: what the run has open beside it is cancelled first, once the order could leave. False: it is not
 * gone yet. Whatever stands against the order itself is said as it is placed.
 */
async function hasRoom(
  jobs: OrderJobs,
  { run_id, event_id }: TaskPayload<'veda.place_order'>,
  event: PlaceCommand,
  words: VenueWords | null,
): Promise<boolean> {
  const intent = event.payload.intent as PlaceIntent
  const { symbol, client_order_id } = intent
  return jobs.db.write(async (tx) => {
    const run = await lockRun(tx, run_id)
    if (run === null || (await isClaimed(tx, 'veda.place_order', event_id))) return true
    const [position, open, hindrance] = await Promise.all([
      getPosition(tx, run_id, symbol),
      openSentOrders(tx, run_id),
      hindranceOf(tx, run, symbol),
    ])
    const closing = closingOf(symbol, position?.qty ?? '0', open)
    if (closing.kind !== 'to close') return true
    const now = jobs.now()
    const refused = haltedBy(hindrance, { client_order_id, parent_order_id: null }) ?? tooLateByHand(event, now, null)
    // Nothing that may protect is given up for what cannot leave, or what the venue does not take.
    if (refused !== null || notTaken({ ...intent, qty: closing.qty }, words) !== null) return true
    const { inTheWay } = closing
    if (waitsFor(hindrance) !== null) return inTheWay.length === 0
    await jobs.record(tx, await cancelOutcome(tx, inTheWay, 'the position is closed by hand', now))
    return inTheWay.every(({ cancel_requested_at: at }) => at !== null && now - Date.parse(at) >= MAKE_ROOM_MS)
  })
}

export async function cancelOrder(
  jobs: OrderJobs,
  payload: TaskPayload<'veda.cancel_order'>,
  job: OrderJob,
): Promise<void> {
  const event = await commandOf(jobs.db.reader, payload.event_id, 'live.CancelOrder')
  if (!(await isOldestCommand(jobs.db.reader, payload.run_id, payload.event_id))) return job.putBack(PUT_BACK_MS)
  const decide = async (tx: WriteTx, locked: LiveRun) => {
    const order = await orderByClientId(tx, locked.id, event.payload.client_order_id)
    const by = event.payload.by ?? 'the strategy'
    return order === null ? NOTHING : cancelOutcome(tx, [order], `asked for by ${by}`, jobs.now())
  }
  // Exits outlive their run, and may be cancelled by a person.
  await carryOut(jobs, 'veda.cancel_order', payload, job, { outlives: true, decide })
}

const NOTHING: Outcome = { writes: [], events: [] }

/** The wish to cancel orders of a run that is locked. What has ended, or is to be cancelled already, is left alone. */
export async function cancelOutcome(
  tx: WriteTx,
  orders: readonly OrderRow[],
  reason: string,
  now: number,
): Promise<Outcome> {
  const outcome: Outcome & { jobs: NewJob[] } = { writes: [], events: [], jobs: [] }
  for (const order of orders) {
    const send = isOpen(order.status) ? await getOrderSend(tx, order.id) : null
    if (send === null || send.cancel_requested_at !== null) continue
    outcome.writes.push({ kind: 'save_order_sends', rows: [cancelWanted(send, reason, now)] })
    // What is not answered yet is its submit's, which finds the wish.
    if (send.state === 'answered') outcome.jobs.push(cancelJob(order))
  }
  return outcome
}

/** For whoever starts to keep an account: jobs of all that is under way there. One too many does nothing. */
export async function unfinishedJobs(
  reader: Reader,
  account: { exchange: string; mode: TradingMode },
): Promise<NewJob[]> {
  const sends = await unfinishedSends(reader, account)
  return sends.map(({ order_id: id, run_id, client_order_id, what }) =>
    what === 'submit' ? submitJob({ id, run_id, client_order_id }) : cancelJob({ id, run_id }),
  )
}

interface Deciding {
  /** Also after the run has ended. */
  outlives: boolean
  decide: (tx: WriteTx, run: LiveRun) => Promise<Outcome>
}

/** Once per command, under the run's lock; the tick's last command ends the tick. */
async function carryOut(
  jobs: OrderJobs,
  task: 'veda.place_order' | 'veda.cancel_order',
  payload: { run_id: string; event_id: string },
  job: OrderJob,
  { outlives, decide }: Deciding,
): Promise<void> {
  job.signal.throwIfAborted()
  await jobs.db.write(async (tx) => {
    const run = await lockRun(tx, payload.run_id)
    const counts = run?.status === 'running' || (run !== null && outlives)
    if (counts && (await claim(tx, task, payload.event_id))) {
      const [outcome, done] = await Promise.all([
        decide(tx, run as LiveRun),
        commandDone(tx, run, payload.event_id, jobs.now()),
      ])
      await jobs.record(tx, { ...outcome, writes: [...outcome.writes, ...done] })
    }
    await job.finish(tx)
  })
}

type Command<T extends 'live.PlaceOrder' | 'live.CancelOrder'> = Extract<LogEvent, { type: T }>

async function commandOf<T extends 'live.PlaceOrder' | 'live.CancelOrder'>(
  reader: Reader,
  eventId: string,
  type: T,
): Promise<Command<T>> {
  const event = (await getEvent(reader, eventId)) as LogEvent | null
  if (event?.type !== type) throw new Error(`the event ${eventId} is no ${type} in the log`)
  return event as Command<T>
}

/** A venue that is away, or refuses, is no reason to lose a tick: whether the order can leave is seen when it is sent. */
async function askVenue(jobs: OrderJobs, run: RunRow, { symbol }: PlaceIntent): Promise<VenueWords | null> {
  if (run.exchange === null || run.mode === 'backtest' || !run.symbols.includes(symbol)) return null
  try {
    const venue = await jobs.venues.get(run.exchange, run.mode)
    const asset = await inTime(wallClock.sleep, ASSET_MS, venue.asset(symbol)).catch((error: unknown) => {
      jobs.log('warn', { err: error, run_id: run.id }, `the venue does not tell what ${symbol} is`)
      return null
    })
    return { features: venue.features, asset }
  } catch (error) {
    jobs.log('warn', { err: error, run_id: run.id }, 'the venue of an order cannot be opened')
    return null
  }
}

async function place(
  jobs: OrderJobs,
  tx: WriteTx,
  run: LiveRun,
  event: PlaceCommand,
  words: VenueWords | null,
): Promise<Outcome> {
  const wanted = event.payload.intent as PlaceIntent
  const [ledger, known, tick, account] = await Promise.all([
    getRunLedger(tx, run.id),
    orderByClientId(tx, run.id, wanted.client_order_id),
    tickOf(tx, run, event),
    readStanding(tx, run, wanted),
  ])
  if (ledger === null) throw new Error(`the run ${run.id} has no ledger: it was never started`)
  // The same intent is the same order, whoever asks for it again.
  if (known !== null) return NOTHING
  const now = jobs.now()
  const splits = splitsOf(ledger)
  const shares = sharesPerHeld(splits, wanted.symbol, account.closes[wanted.symbol]?.scale)
  // Of one share that is held.
  const lastClose = account.lastClose * shares
  const byHand = isAskedByHand(event)
  const asked = byHand ? ofWhatIsLeft(run, wanted, account) : wanted
  const decidedClose = Number.isFinite(lastClose) ? new Decimal(String(lastClose)).toString() : null
  const nonsense = checkIntent(asked, run.symbols)
  const held = account.position?.qty ?? '0'
  const intent = nonsense === null ? fittedTo(words?.asset?.qty_increment ?? null, asked, held) : asked
  const born = commandedOrder(run, event, intent, { ledger, tick, decidedClose, now })
  const watch = (ledger.risk_watch as RiskWatch | null) ?? newWatch(run.initial_cash)
  const onlyCloses = byHand || (run.stop_requested !== null && tick === null)
  const { cash } = ledger
  const refusal =
    (byHand ? tooLateByHand(event, now, waitsFor(account.hindrance)) : null) ??
    refusalOf(run, intent, { ...account, lastClose, nonsense, cash, shares, words, watch, byHand, onlyCloses, now }) ??
    (await tooOld(tx, run, event, tick, now))
  const next: RunLedgerRow = { ...ledger, next_order: ledger.next_order + 1 }
  if (refusal !== null) {
    const { writes, events } = refusedOutcome(born, refusal)
    return { writes: [...writes, { kind: 'save_run_ledgers', rows: [next] }], events }
  }
  countOrder(watch, now)
  const counted = { ...next, risk_watch: watch as unknown as Json }
  return { ...born.outcome, writes: [...born.outcome.writes, { kind: 'save_run_ledgers', rows: [counted] }] }
}

/** What an intent is held against, read at once. */
async function readStanding(tx: WriteTx, run: LiveRun, { symbol }: PlaceIntent) {
  const [hindrance, open, position, positions, checkpoint] = await Promise.all([
    hindranceOf(tx, run, symbol),
    listOpenOrders(tx, run.id),
    getPosition(tx, run.id, symbol),
    openPositions(tx, run.id),
    getLiveCheckpoint(tx, run.id),
  ])
  const { newest: closes } = checkpoint
  return { hindrance, open, position, positions, closes, lastClose: closes[symbol]?.close ?? Number.NaN }
}

/** What an exit has closed since a person asked need not be closed again; of the rest they wanted to get out. */
function ofWhatIsLeft(
  run: LiveRun,
  asked: PlaceIntent,
  { position, open: others }: Awaited<ReturnType<typeof readStanding>>,
): PlaceIntent {
  const left = closableQty(closableBy(asked.side, holdingOf(run, asked, { position, others })), null)
  return left.gt(ZERO) && left.lt(asked.qty) ? { ...asked, qty: left.toString() } : asked
}

type Circumstances = Awaited<ReturnType<typeof readStanding>> & {
  nonsense: string | null
  cash: string
  /** Of those that its bars tell of, for one that is held; 1: they are the same. */
  shares: number
  words: VenueWords | null
  watch: RiskWatch
  byHand: boolean
  /** A person's, or of a run that is to stop, after its last tick: it closes a position, whatever its run may open otherwise. */
  onlyCloses: boolean
  now: number
}

/** Of an order that closes no more than is held, whatever else is open: what the venue says of it. */
function notTaken(intent: PlaceIntent, words: VenueWords | null): Refusal | null {
  const { features, asset } = words ?? {}
  if (features === undefined) return null
  const fitted = fittedTo(asset?.qty_increment ?? null, intent, intent.qty)
  return checkVenue(fitted, features, asset ?? null, { qty: fitted.qty, closing: '0', allowShort: false })
}

/** `beside`: the run's open orders, where the one that closes is to have none beside it. */
function closingRefusal(intent: PlaceIntent, holding: Holding, beside: readonly OrderRow[]): Refusal | null {
  const { symbol, side, qty } = intent
  const left = closableBy(side, holding)
  if (left.lt(qty)) {
    const detail = `of the ${qty} ${symbol} that it was to close ${left} is left`
    return { reason: 'short_not_allowed', rule: null, detail }
  }
  const own = beside.find((order) => order.symbol === symbol && isOwn(order))
  if (own === undefined) return null
  const detail = `the venue has not confirmed that ${own.client_order_id} is cancelled, which would trade beside it`
  return { reason: 'too_late', rule: null, detail }
}

function refusalOf(run: LiveRun, intent: PlaceIntent, circumstances: Circumstances): Refusal | null {
  const { hindrance, nonsense, open, position, lastClose, shares, byHand, onlyCloses, words, watch, now } =
    circumstances
  if (nonsense !== null) return { reason: 'invalid_order', rule: null, detail: nonsense }
  const halted = haltedBy(hindrance, byHand ? { ...intent, parent_order_id: null } : null)
  if (halted !== null) return { reason: 'halt', rule: null, detail: halted }
  // What closes all that is held was decided on no bar; and of a run that has ended no bar will ever show the split.
  if (shares !== 1 && !onlyCloses) {
    const detail = `the bars of ${intent.symbol} show a split that what the run holds has not had yet`
    return { reason: 'split', rule: null, detail }
  }
  const holding = holdingOf(run, intent, { position, others: open })
  const untaken = byHand ? notTaken(intent, words) : null
  const unclosable = untaken ?? (onlyCloses ? closingRefusal(intent, holding, byHand ? open : []) : null)
  if (unclosable !== null) return unclosable
  const risk = checkRisk(intent, run.risk as RiskLimits, {
    symbol: intent.symbol,
    lastClose,
    held: position?.qty ?? '0',
    open,
    ...lossesOf(watch, now),
  })
  if (risk !== null) return { reason: 'risk', rule: risk.rule, detail: risk.detail }
  const unpaid = checkFunds(intent, { ...circumstances, leverage: Number(run.fill.leverage ?? 1) })
  if (unpaid !== null || words === null) return unpaid
  return checkVenue(intent, words.features, words.asset, holding)
}
