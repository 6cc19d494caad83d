/**
 * The jobs there are: what each takes, where it runs, how long it may take and how often it is tried. Payloads are small:
 * ids, never data. Every handler of an event's job can be run twice and has one effect (I3): it claims `event_id` first.
 */
import { z } from 'zod'

/**
 * Workers of their own each. All jobs of one queue go to one pool: a pool keeps only its own jobs of a queue in order. What
 * waits for somebody else's server (`notify`) holds up neither orders nor backtests; what a venue is asked for a run's ticks
 * (`live`) does not hold up its orders, and these do not hold up what takes orders back (`cancels`).
 */
export const POOLS = ['live', 'orders', 'cancels', 'batch', 'notify'] as const
export type PoolName = (typeof POOLS)[number]

export interface Backoff {
  firstMs: number
  factor: number
  mostMs: number
}

export interface TaskPolicy {
  payload: z.ZodType
  pool: PoolName
  /** Lower goes first, whatever is older. */
  priority: number
  /** A job that takes longer loses its lease: its commit fails, and it is tried again. */
  timeoutMs: number
  /** A running run gets nowhere without it: when the job is lost, the run ends. */
  drivesRun: boolean
  /** A strategy speaks in it: the time that strategies have is added to the limit. */
  strategy: boolean
  maxAttempts: number
  backoff: Backoff
  /** Of a pool's workers in a process, those that may be at it for one account of an exchange: one that hangs leaves some. Absent: all. */
  mostOfAccount?: number
}

const id = z.uuid()
const caused = z.strictObject({ run_id: id, event_id: id })

/** Five attempts in 80 seconds: long enough for a Postgres that is started again. */
const RETRIES = { maxAttempts: 5, backoff: { firstMs: 2_000, factor: 3, mostMs: 60_000 } } as const
/** Loads data or works on all of a run. */
const LONG = { pool: 'batch', priority: 10, timeoutMs: 600_000, drivesRun: true, strategy: false, ...RETRIES } as const
/** Of paper and live runs: never behind backtests. */
const LIVE = { pool: 'live', priority: 0, timeoutMs: 60_000, drivesRun: true, strategy: false, ...RETRIES } as const
/** On its way to a venue. Never lost: it is tried until the venue has answered. */
const SENT = { ...LIVE, drivesRun: false } as const
/** A few milliseconds, which are not to wait behind chunks. */
const HOP = { pool: 'batch', priority: 0, timeoutMs: 120_000, drivesRun: true, strategy: false, ...RETRIES } as const

export const TASKS = {
  /** A backtest's data is looked at and its first tick set off. */
  'greta.start_run': { payload: z.strictObject({ run_id: id }), ...LONG },
  /** A backtest's next few thousand ticks. */
  'greta.run_chunk': { payload: z.strictObject({ run_id: id, next_tick: z.int().min(0) }), ...LONG, strategy: true },
  /** Open orders are tested on the bars that closed at the tick. */
  'greta.match_orders': { payload: caused, ...HOP },
  /** The strategy hears of its orders and of the tick, and may ask for windows. */
  'marvin.on_tick': { payload: caused, ...HOP, strategy: true },
  'greta.fetch_window': { payload: caused, ...HOP },
  /** The strategy decides. */
  'marvin.on_window': { payload: caused, ...HOP, strategy: true },
  'greta.place_order': { payload: caused, ...HOP },
  'greta.cancel_order': { payload: caused, ...HOP },
  /** The ticks are done: statistics and result hash from the stored rows. Before chunks: a run that is done is let go. */
  'greta.finish_run': { payload: z.strictObject({ run_id: id }), ...LONG, priority: 0 },
  /** A paper or live run is made ready: its account is asked for, its ledger opened; from then on the clock knows it. */
  'veda.start_run': { payload: z.strictObject({ run_id: id }), ...LIVE, mostOfAccount: 1 },
  /** Waits for the bar that has just closed, at most the run's bar_wait, and gives the windows. */
  'veda.fetch_window': { payload: caused, ...LIVE },
  /** The strategy hears of the tick, may ask for more windows, and decides. */
  'marvin.on_live_window': { payload: caused, ...LIVE, strategy: true },
  /** The strategy hears that an order of its changed, as it happens. */
  'marvin.on_order': { payload: caused, ...LIVE, strategy: true },
  /** The intent becomes an order on record, or is refused; nothing is sent here. */
  'veda.place_order': { payload: caused, ...LIVE },
  /** The wish to cancel is put on record; nothing is sent here. */
  'veda.cancel_order': { payload: caused, ...LIVE },
  /** Sends an order to its venue, or finds out what became of it. */
  'veda.submit_order': {
    payload: z.strictObject({ run_id: id, order_id: id }),
    ...SENT,
    pool: 'orders',
    mostOfAccount: 3,
  },
  'veda.send_cancel': {
    payload: z.strictObject({ run_id: id, order_id: id }),
    ...SENT,
    pool: 'cancels',
    priority: 1,
    mostOfAccount: 2,
  },
  /** A run's exits close no more than what it holds, where no order of its own has changed that. */
  'veda.fit_exits': { payload: caused, ...LIVE, drivesRun: false },
  /** A symbol looks like a split, or is in order again: the run's orders in it are cancelled, or its exits come back. */
  'veda.fit_symbol': { payload: z.strictObject({ run_id: id, symbol: z.string() }), ...LIVE, drivesRun: false },
  /** The kill switch, run by run: asks for all open orders of a run to be cancelled. */
  'veda.cancel_run': { payload: z.strictObject({ run_id: id }), ...SENT, pool: 'cancels' },
  /** The kill switch: asks a venue to cancel whatever else is open in the account. */
  'veda.cancel_all': {
    payload: z.strictObject({ exchange: z.string(), mode: z.enum(['paper', 'live']) }),
    ...SENT,
    pool: 'cancels',
  },
  /** Ends a run that is to stop: cancels, closes what is asked to be closed, then says that it has. */
  'veda.end_run': { payload: z.strictObject({ run_id: id }), ...LIVE },
  /** The next page of an exchange's history. */
  'veda.fetch_candles': { payload: z.strictObject({ fetch_id: id }), ...LONG, drivesRun: false },
  /** A message to a person or a program outside. Tried fifteen times in a day. */
  'glados.send_notification': {
    payload: z.strictObject({ notification_id: id }),
    pool: 'notify',
    priority: 0,
    timeoutMs: 60_000,
    drivesRun: false,
    strategy: false,
    maxAttempts: 15,
    backoff: { firstMs: 10_000, factor: 3, mostMs: 10_800_000 },
  },
  /** A paper or live run is played again from its log. */
  'greta.replay_run': {
    payload: z.strictObject({ run_id: id }),
    ...LONG,
    priority: 20,
    timeoutMs: 3_600_000,
    drivesRun: false,
    strategy: true,
  },
  /** A completed backtest is played again under a dozen other fill models. After everything that somebody waits for. */
  'greta.run_band': {
    payload: z.strictObject({ run_id: id }),
    ...LONG,
    priority: 20,
    timeoutMs: 3_600_000,
    drivesRun: false,
    strategy: true,
  },
} as const satisfies Record<string, TaskPolicy>

export type TaskName = keyof typeof TASKS
export type TaskPayload<T extends TaskName> = z.output<(typeof TASKS)[T]['payload']>

export const TASK_NAMES = Object.keys(TASKS) as TaskName[]

export function isTask(name: string): name is TaskName {
  return Object.hasOwn(TASKS, name)
}

export function tasksOf(pool: PoolName): TaskName[] {
  return TASK_NAMES.filter((task) => (TASKS[task] as TaskPolicy).pool === pool)
}

export function timeoutMs(task: TaskName, strategyTimeoutMs: number): number {
  const policy = TASKS[task]
  return policy.timeoutMs + (policy.strategy ? strategyTimeoutMs : 0)
}

/** A job of a task that has `mostOfAccount` carries it as its flag: workers pass over it while its account's places are taken. */
export function accountFlag(task: TaskName, account: string): string {
  return `${task} ${account}`
}

/** How long a job waits after its attempt number `attempt` (from 1) has failed. */
export function retryDelayMs({ firstMs, factor, mostMs }: Backoff, attempt: number): number {
  return Math.min(mostMs, firstMs * factor ** (attempt - 1))
}

export type NewJob = {
  [T in TaskName]: {
    task: T
    payload: TaskPayload<T>
    /** Jobs of one queue run one after the other. A run's jobs share the queue `run:<run_id>`. */
    queue?: string
  }
}[TaskName]
