/**
 * A consumer of the log: a name, the events that it wants, and what it does with them. One instance of it works, in
 * whichever process; it never passes over an event, and what fails is tried again until it works or a person decides.
 */
import { z } from 'zod'
import type { Database, WriteTx } from '../database.ts'
import { isOutage } from '../unavailable.ts'
import { SEQUENCED } from './append.ts'
import { createLeader, type Leader, type Next } from './leader.ts'
import { type Batch, consume, HandlerFailed, markFailing, takeOn } from './offsets.ts'
import { type LoggedEvent, UnreadableEvent } from './read.ts'
import { type EventType, isEventType } from './registry.ts'

export type { LoggedEvent } from './read.ts'
export type { WriteTx }

const whole = (min: number, max: number) => z.int().min(min).max(max)

const SETTINGS = z.strictObject({
  /** Its name for ever: its place in the log goes by it. */
  id: z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be lower case, like data_invalidation'),
  /** Only these are handed over. Absent: every event. */
  types: z
    .array(z.custom<EventType>((type) => typeof type === 'string' && isEventType(type), 'is no type of the registry'))
    .min(1)
    .optional(),
  /** Where its first instance ever begins: at the oldest event, or with what comes from then on. */
  startAt: z.enum(['oldest', 'head']).default('oldest'),
  /** Events per transaction, at most. After a failure it is smaller for a while. */
  batchSize: whole(1, 5_000).default(200),
  /** The log is looked at this often even if no notification comes. */
  pollMs: whole(250, 1_000).default(500),
  /** Between two rounds of one that keeps up, so that it reads a busy log in batches. */
  restMs: whole(0, 1_000).default(50),
  /** How often a stand-by asks whether the active instance is gone. */
  standByMs: whole(50, 1_000).default(500),
  /** Further behind, backtests and imports wait for it; null: never. Absent: WEAVER_LAG_LIMIT. */
  lagLimit: whole(1, 1_000_000_000).nullable().optional(),
  /** Pause after the first failure in a row; it doubles with every further one. */
  backoffMinMs: whole(10, 60_000).default(500),
  backoffMaxMs: whole(10, 3_600_000).default(60_000),
  /** A handler that takes longer has failed. */
  handlerTimeoutMs: whole(50, 280_000).default(30_000),
})

export interface ConsumerDefinition extends Readonly<z.input<typeof SETTINGS>> {
  /**
   * Does what is to be done, in the transaction that moves the offset. Delivery is at least once all the same (a commit
   * whose answer is lost): what leaves the database goes by `envelope.id`. What it throws rolls everything back.
   */
  handle(tx: WriteTx, events: readonly LoggedEvent[]): Promise<void>
}

export interface ConsumerLog {
  info(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface ConsumerDependencies {
  db: Database
  sleep: (ms: number) => Promise<void>
  log: ConsumerLog
  /** Of consumers that do not say. */
  lagLimit: number | null
  /** Who this process is, for people: host and pid. */
  holder: string
}

export interface Consumer extends Leader {
  readonly id: string
  /** Hands over one batch, without the lead. Throws what goes wrong. */
  runOnce(): Promise<Batch>
}

/** Throws at settings that make no sense, all of them at once. */
export function createConsumer(definition: ConsumerDefinition, dependencies: ConsumerDependencies): Consumer {
  const { handle, ...given } = definition
  const settings = checked(given)
  const { id, batchSize, backoffMinMs, backoffMaxMs } = settings
  const { db, sleep, log } = dependencies
  const lagLimit = settings.lagLimit === undefined ? dependencies.lagLimit : settings.lagLimit
  let size = batchSize
  let failures = 0

  const once = (limit: number) =>
    consume({
      db,
      consumerId: id,
      startAt: settings.startAt,
      limit,
      statementTimeoutMs: settings.handlerTimeoutMs,
      ...(settings.types && { types: settings.types }),
      handle: (tx, events) => inTime(handle(tx, events), settings.handlerTimeoutMs, sleep),
    })

  async function fail(error: unknown): Promise<Next> {
    if (error instanceof HandlerFailed && error.events.length > 1 && !isOutage(error.cause)) {
      // Half as many, and so on: what stands in the way has a name in the end, and what comes before it is done.
      size = Math.floor(error.events.length / 2)
      return 'again'
    }
    failures += 1
    const retryMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(failures - 1, 30))
    const seq = seqOf(error)
    const message = error instanceof Error ? error.message : String(error)
    log.error({ consumer: id, seq, failures, retry_ms: retryMs, err: error }, `consumer ${id} fails: ${message}`)
    await markFailing(db, id, { seq, message, retryMs }).catch((unsaid: unknown) =>
      log.error({ consumer: id, err: unsaid }, 'that a consumer fails could not be recorded'),
    )
    return { pauseMs: retryMs }
  }

  async function round(): Promise<Next> {
    let batch: Batch
    try {
      batch = await once(size)
    } catch (error) {
      return fail(error)
    }
    if (failures > 0) log.info({ consumer: id, failures, seq: batch.to }, `consumer ${id} works again`)
    failures = 0
    size = Math.min(size * 2, batchSize)
    if (batch.more) return 'again'
    return batch.to > batch.from ? { pauseMs: settings.restMs } : 'rest'
  }

  const leader = createLeader({
    db,
    sleep,
    onError: (error) => log.error({ consumer: id, err: error }, `consumer ${id}`),
    key: { sql: 'weaver.consumer_key($1)', value: id },
    channel: SEQUENCED,
    pollMs: settings.pollMs,
    standByMs: settings.standByMs,
    onLead: () => takeOn(db, id, { lagLimit, holder: dependencies.holder, startAt: settings.startAt }),
    round,
  })
  return { id, ...leader, runOnce: () => once(batchSize) }
}

function checked(given: unknown): z.output<typeof SETTINGS> {
  const parsed = SETTINGS.safeParse(given)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`)
  throw new Error(`a consumer's settings do not fit: ${problems.join('; ')}`)
}

function seqOf(error: unknown): number | null {
  if (error instanceof UnreadableEvent) return error.row.seq
  return error instanceof HandlerFailed && !isOutage(error.cause) ? (error.events[0]?.seq ?? null) : null
}

const STEP_MS = 250

/** A sleep cannot be cut short, and a process cannot end while it lasts: so in small steps. */
async function inTime(work: Promise<void>, timeoutMs: number, sleep: (ms: number) => Promise<void>): Promise<void> {
  let done = false
  const settled = work.finally(() => {
    done = true
  })
  for (let left = timeoutMs; left > 0; left -= STEP_MS) {
    await Promise.race([settled, sleep(Math.min(left, STEP_MS))])
    if (done) return settled
  }
  settled.catch(() => {})
  throw new Error(`the handler took longer than ${timeoutMs} ms`)
}
