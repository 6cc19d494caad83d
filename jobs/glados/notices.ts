/**
 * What a person wants to hear of: which events of the log, and in which words. Pure. Of backtests nothing is told but jobs
 * that were lost: whoever runs one looks at it.
 */
import type { LogEvent } from '../../db/events/envelope.ts'
import type { EventType, PayloadOf } from '../../db/events/registry.ts'
import { isTask, TASKS } from '../../db/events/tasks.ts'

export const NOTICE_KINDS = ['fills', 'rejects', 'errors', 'halts', 'mismatches', 'jobs'] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]
export type NoticeLevel = 'info' | 'warning' | 'critical'

export interface Notice {
  event_id: string
  kind: NoticeKind
  level: NoticeLevel
  type: EventType
  /** One line. */
  title: string
  body: string
  run_id: string | null
  order_id: string | null
  /** Null: of no account in particular. */
  mode: 'paper' | 'live' | null
  ts: string
}

export interface ToldRun {
  id: string
  mode: 'backtest' | 'paper' | 'live'
  strategy_id: string
  exchange: string | null
  label: string | null
}

export interface ToldOrder {
  id: string
  symbol: string
  side: string
  order_type: string
  qty: string
  filled_qty: string
  filled_avg_price: string | null
}

/** What the words are made of beside the events. */
export interface NoticeContext {
  runs: ReadonlyMap<string, ToldRun>
  orders: ReadonlyMap<string, ToldOrder>
}

export const NOTICE_TYPES = [
  'orders.Replaced',
  'orders.Filled',
  'orders.Cancelled',
  'orders.Expired',
  'orders.Rejected',
  'run.Error',
  'system.Halted',
  'system.Resumed',
  'system.Error',
  'account.Reconciled',
  'account.Updated',
  'job.Failed',
] as const satisfies readonly EventType[]

const ORDER_TYPES: ReadonlySet<EventType> = new Set([
  'orders.Replaced',
  'orders.Filled',
  'orders.Cancelled',
  'orders.Expired',
  'orders.Rejected',
])
/** Found at an account, and wanting a person. */
const MISMATCHES: ReadonlySet<string> = new Set([
  ...['position_mismatch', 'split', 'order_missing', 'foreign_order', 'lost_order', 'traded_by_hand'],
])
const MOST_LINES = 10
const LONGEST = { title: 200, body: 2_000 } as const

type Draft = Pick<Notice, 'kind' | 'level' | 'title' | 'body'> & Partial<Pick<Notice, 'run_id' | 'order_id' | 'mode'>>

/** In the log's order. What one reconciliation tells in two events is told once. */
export function noticesOf(events: readonly LogEvent[], context: NoticeContext): Notice[] {
  const found = new Map<string, string[]>()
  return events.flatMap((event) => {
    const draft = draftOf(event, context, found)
    if (draft === null) return []
    const { id: event_id, type, run_id, ts } = event
    return {
      event_id,
      type,
      run_id,
      ts,
      order_id: null,
      mode: tradingModeOf(run_id, context),
      ...draft,
      title: cut(draft.title.replaceAll(/\s+/g, ' '), LONGEST.title),
      body: cut(draft.body, LONGEST.body),
    }
  })
}

/** False: nothing would be told of it, whatever else is known. Most events of a backtest's orders go no further. */
export function mayConcern({ type, producer, payload }: LogEvent): boolean {
  if (ORDER_TYPES.has(type)) return producer !== 'greta'
  if (type === 'account.Updated') return payload.state === 'refused'
  return (NOTICE_TYPES as readonly string[]).includes(type)
}

function draftOf(event: LogEvent, context: NoticeContext, found: Map<string, string[]>): Draft | null {
  if (!mayConcern(event)) return null
  switch (event.type) {
    case 'orders.Replaced':
      return replaced(event.payload, event.run_id, context)
    case 'orders.Filled':
      return filled(event.payload, event.run_id, context)
    case 'orders.Cancelled':
    case 'orders.Expired':
      return endedInPart(event.payload, event.run_id, context)
    case 'orders.Rejected':
      return rejected(event.payload, event.run_id, context)
    case 'run.Error':
      return runError(event.payload, context)
    case 'system.Halted':
      return halted(event.payload, event.run_id, context)
    case 'system.Resumed': {
      const title = event.run_id === null ? 'Weaver trades again' : `${nameOf(event.run_id, context)} trades again`
      return { kind: 'halts', level: 'info', title, body: `Resumed by ${event.payload.by}.` }
    }
    case 'system.Error':
      return systemError(event.payload, found.get(event.corr_id) ?? [])
    case 'account.Reconciled': {
      found.set(
        event.corr_id,
        event.payload.findings.map(({ detail }) => detail),
      )
      return reconciled(event.payload)
    }
    case 'account.Updated':
      return refused(event.payload)
    case 'job.Failed':
      return jobFailed(event.payload, context)
    default:
      return null
  }
}

/** No limit of Weaver's was asked. */
function replaced(payload: PayloadOf<'orders.Replaced'>, runId: string | null, context: NoticeContext): Draft | null {
  if (tradingModeOf(runId, context) === null) return null
  const { order_id, client_order_id, qty, price, stop_price, trail_price, trail_percent, time_in_force } = payload
  const order = context.orders.get(order_id)
  const what = order ? `${order.side} ${order.symbol} ${order.order_type.replace('_', ' ')}` : client_order_id
  const terms = [
    `quantity ${qty}`,
    ...(stop_price === null ? [] : [`stop ${stop_price}`]),
    ...(price === null ? [] : [`limit ${price}`]),
    ...(trail_price === null ? [] : [`trailing by ${trail_price}`]),
    ...(trail_percent === null ? [] : [`trailing by ${trail_percent} %`]),
    time_in_force,
  ]
  const title = `Changed at the exchange: ${what} (${nameOf(runId, context)})`
  return { kind: 'mismatches', level: 'info', title, body: `${client_order_id} is now: ${terms.join(', ')}.`, order_id }
}

function filled(payload: PayloadOf<'orders.Filled'>, runId: string | null, context: NoticeContext): Draft | null {
  if (tradingModeOf(runId, context) === null) return null
  const { side, symbol, filled_qty, filled_avg_price, fees, order_id, client_order_id } = payload
  const done = side === 'buy' ? 'Bought' : 'Sold'
  const title = `${done} ${filled_qty} ${symbol} at ${filled_avg_price} (${nameOf(runId, context)})`
  const fee = fees === '0' ? '' : ` Fees: ${fees}.`
  return { kind: 'fills', level: 'info', title, body: `Order ${client_order_id} is filled.${fee}`, order_id }
}

/** What filled in part before its end moved money, and no `orders.Filled` will tell of it. */
function endedInPart(
  { order_id, client_order_id, reason }: PayloadOf<'orders.Cancelled'> | PayloadOf<'orders.Expired'>,
  runId: string | null,
  context: NoticeContext,
): Draft | null {
  const order = context.orders.get(order_id)
  if (tradingModeOf(runId, context) === null || order === undefined || Number(order.filled_qty) === 0) return null
  const { side, symbol, qty, filled_qty, filled_avg_price } = order
  const done = side === 'buy' ? 'Bought' : 'Sold'
  const title = `${done} ${filled_qty} of ${qty} ${symbol} at ${filled_avg_price} (${nameOf(runId, context)})`
  const why = reason === null ? '' : `: ${reason}`
  return { kind: 'fills', level: 'info', title, body: `The rest of order ${client_order_id} is gone${why}.`, order_id }
}

function rejected(payload: PayloadOf<'orders.Rejected'>, runId: string | null, context: NoticeContext): Draft | null {
  if (tradingModeOf(runId, context) === null) return null
  const { order_id, client_order_id, reason, rule, detail } = payload
  const order = context.orders.get(order_id)
  const what = order ? `${order.side} ${order.qty} ${order.symbol} ${order.order_type}` : client_order_id
  const why = [reason, rule].filter((part) => part !== null).join(', ')
  return {
    kind: 'rejects',
    level: 'warning',
    title: `Order rejected: ${what} (${nameOf(runId, context)})`,
    body: `${client_order_id}: ${why}${detail === null ? '' : `: ${detail}`}`,
    order_id,
  }
}

function runError(payload: PayloadOf<'run.Error'>, context: NoticeContext): Draft | null {
  const { run_id, message, ts } = payload
  if (tradingModeOf(run_id, context) === null) return null
  const at = ts === null ? '' : `At the tick of ${ts}: `
  const title = `${nameOf(run_id, context)} has ended with an error`
  return { kind: 'errors', level: 'critical', title, body: `${at}${message}` }
}

function halted({ rule, reason, by }: PayloadOf<'system.Halted'>, runId: string | null, context: NoticeContext): Draft {
  const title = runId === null ? 'Weaver is halted' : `${nameOf(runId, context)} is halted: ${rule}`
  const why = reason === null ? '' : ` ${reason}`
  return {
    kind: 'halts',
    level: 'critical',
    title,
    body: `Rule ${rule}, by ${by}.${why} No order leaves but cancels, until somebody resumes it.`,
  }
}

const ACCOUNT = /^account (\S+) (paper|live)$/

function systemError({ part, message }: PayloadOf<'system.Error'>, told: readonly string[]): Draft | null {
  const [, exchange, mode] = ACCOUNT.exec(part) ?? []
  if (exchange === undefined) {
    return { kind: 'errors', level: 'critical', title: `Weaver needs somebody: ${part}`, body: message }
  }
  if (told.some((detail) => message.endsWith(`: ${detail}`))) return null
  return {
    kind: 'mismatches',
    level: 'critical',
    title: `Account ${exchange} ${mode} needs somebody`,
    body: message,
    mode: mode as 'paper' | 'live',
  }
}

function reconciled({ exchange, mode, findings }: PayloadOf<'account.Reconciled'>): Draft | null {
  const odd = findings.filter((finding) => MISMATCHES.has(finding.class))
  if (odd.length === 0) return null
  const lines = odd.slice(0, MOST_LINES).map(({ class: kind, symbol, client_order_id, detail }) => {
    const what = [kind, symbol, client_order_id].filter((part) => part !== null).join(' ')
    return `${what}: ${detail}`
  })
  if (odd.length > lines.length) lines.push(`and ${odd.length - lines.length} more`)
  const symbols = [...new Set(odd.flatMap(({ symbol }) => symbol ?? []))]
  const where = symbols.length === 0 ? '' : `: ${symbols.join(', ')}`
  const title = `Account ${exchange} ${mode} is not as Weaver knows it${where}`
  return { kind: 'mismatches', level: 'critical', title, body: lines.join('\n'), mode }
}

function refused({ exchange, mode, state_reason }: PayloadOf<'account.Updated'>): Draft {
  return {
    kind: 'errors',
    level: 'critical',
    title: `${exchange} ${mode} refuses its credentials`,
    body: `No order leaves until it takes them: ${state_reason ?? 'it did not say why'}`,
    mode,
  }
}

function jobFailed({ task, job_id, run_id, error }: PayloadOf<'job.Failed'>, context: NoticeContext): Draft | null {
  // Of a channel that does not work nothing can be told on it, and its failure would be the next message.
  if (task === 'glados.send_notification') return null
  // The run ends because of it, and that is told.
  const mode = tradingModeOf(run_id, context)
  if (mode !== null && isTask(task) && TASKS[task].drivesRun) return null
  const of = run_id === null ? '' : ` of ${nameOf(run_id, context)}`
  const title = `The job ${task}${of} has failed for good`
  return { kind: 'jobs', level: 'warning', title, body: `Job ${job_id}: ${error}`, run_id, mode }
}

function tradingModeOf(runId: string | null, { runs }: NoticeContext): 'paper' | 'live' | null {
  const mode = runId === null ? undefined : runs.get(runId)?.mode
  return mode === 'paper' || mode === 'live' ? mode : null
}

function nameOf(runId: string | null, { runs }: NoticeContext): string {
  const run = runId === null ? undefined : runs.get(runId)
  if (run === undefined) return `run ${runId}`
  const { strategy_id, exchange, mode, label } = run
  return [label ?? strategy_id, exchange, mode].filter((part) => part !== null).join(' ')
}

const cut = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`)
