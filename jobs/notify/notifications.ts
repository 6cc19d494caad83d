/**
 * Tells people and programs outside what happened. A consumer of the log records a row for each event and channel, with
 * the job that sends it, and does nothing else: however long a channel is down, the log and those who write it do not
 * notice. The job sends, and comes again for a day.
 */
import { v5 } from 'uuid'
import type { Database, Reader, WriteTx } from '../../db/database.ts'
import type { ConsumerDefinition } from '../../db/events/consumer.ts'
import { NotPossible, removeConsumer } from '../../db/events/consumer_admin.ts'
import type { LogEvent } from '../../db/events/envelope.ts'
import { type NewJob, TASKS, type TaskPayload } from '../../db/events/tasks.ts'
import type { ChannelName, NotificationRow } from '../../db/walle/notice_rows.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { activeHalts } from '../../db/walle/queries/halts.ts'
import { getNotification, heldBack, ordersToTell, runsToTell, takenUpIn } from '../../db/walle/queries/notifications.ts'
import type { Job } from '../attempt.ts'
import { mayConcern, NOTICE_TYPES, type Notice, type NoticeContext, noticesOf } from '../glados/notices.ts'
import type { Channel, Message } from './channels.ts'
import type { NotifyConfig } from './config.ts'

export interface Notifications {
  db: Database
  record: (tx: WriteTx, outcome: Outcome) => Promise<unknown>
  config: Pick<NotifyConfig, 'kinds' | 'modes' | 'maxAgeMs' | 'perMinute'>
  channels: readonly Channel[]
  /** The web page's address; null: it has none that others could open. */
  pageUrl: string | null
  now: () => number
}

const CONSUMER = 'notifications'
const MINUTE_MS = 60_000
/** After the minute: whoever took up something in it has committed by then. */
const SETTLED_MS = 30_000
/** Twice as long as is tried: nobody sent anything meanwhile, the channel was not set. */
const STALE_MS = 2 * 86_400_000
/** Of what sums up. */
const SUMMARY_TYPE = 'notify.Summary'

export function notificationConsumer(options: Omit<Notifications, 'db' | 'pageUrl'>): ConsumerDefinition {
  return {
    id: CONSUMER,
    types: [...NOTICE_TYPES],
    // What was before somebody wanted to hear of it is no news.
    startAt: 'head',
    // Nobody waits for it.
    lagLimit: null,
    batchSize: 500,
    async handle(tx, events) {
      const { config, channels, now, record } = options
      const told = events.map(({ envelope }) => envelope as LogEvent).filter(mayConcern)
      if (told.length === 0) return
      const notices = noticesOf(told, await contextOf(tx, told)).filter(
        ({ kind, mode }) => config.kinds.includes(kind) && (mode === null || config.modes.includes(mode)),
      )
      if (notices.length === 0) return
      const plan = createPlan(config, now(), await stillHolding(tx, notices))
      for (const { channel, kind, ...counts } of await takenUpIn(tx, plan.minute)) plan.counted(channel, kind, counts)
      const rows = channels.flatMap(({ name }) => notices.flatMap((notice) => plan.rowsOf(notice, name)))
      await record(tx, { writes: [{ kind: 'add_notifications', rows }], events: [], jobs: rows.flatMap(jobOf) })
    },
  }
}

/** Nobody is to be told any more: retention need not wait for a place in the log that nobody will move. */
export async function forgetNotifications(db: Database): Promise<void> {
  await removeConsumer(db, CONSUMER).catch((error: unknown) => {
    if (!(error instanceof NotPossible)) throw error
  })
}

async function contextOf(tx: Reader, events: readonly LogEvent[]): Promise<NoticeContext> {
  const runs = new Set(events.flatMap(({ run_id, payload }) => run_id ?? ('run_id' in payload ? payload.run_id : [])))
  const orders = events.flatMap(({ payload }) => ('order_id' in payload ? payload.order_id : []))
  return {
    runs: new Map(
      (
        await runsToTell(
          tx,
          [...runs].filter((id) => id !== null),
        )
      ).map((run) => [run.id, run]),
    ),
    orders: new Map((await ordersToTell(tx, orders)).map((order) => [order.id, order])),
  }
}

/** What a halt tells is news for as long as it holds: nobody was at work when it was pressed. */
async function stillHolding(tx: Reader, notices: readonly Notice[]): Promise<(notice: Notice) => boolean> {
  const isHalt = ({ type }: Notice) => type === 'system.Halted'
  const nameOf = (runId: string | null, at: string) => `${runId} ${Date.parse(at)}`
  const halts = notices.some(isHalt) ? await activeHalts(tx) : []
  const active = new Set(halts.map(({ run_id, halted_at }) => nameOf(run_id, halted_at)))
  return (notice) => isHalt(notice) && active.has(nameOf(notice.run_id, notice.ts))
}

type Counts = { told: number; held: number }

/** What becomes of notices that are taken up in one minute: told, too old, or beyond what a minute may tell. */
function createPlan(
  { maxAgeMs, perMinute }: Pick<NotifyConfig, 'maxAgeMs' | 'perMinute'>,
  now: number,
  holds: (notice: Notice) => boolean,
) {
  const minute = new Date(Math.floor(now / MINUTE_MS) * MINUTE_MS).toISOString()
  const counts = new Map<string, Counts>()
  const countsOf = (channel: string, kind: string): Counts => {
    const key = `${channel} ${kind}`
    const known = counts.get(key) ?? { told: 0, held: 0 }
    counts.set(key, known)
    return known
  }
  return {
    minute,
    counted: (channel: string, kind: string, known: Counts) => Object.assign(countsOf(channel, kind), known),
    rowsOf(notice: Notice, channel: ChannelName): NotificationRow[] {
      const row = (state: NotificationRow['state']): NotificationRow => ({
        ...notice,
        id: v5(channel, notice.event_id),
        channel,
        minute,
        state,
        attempts: 0,
        last_error: null,
        sent_at: null,
      })
      if (Date.parse(notice.ts) < now - maxAgeMs && !holds(notice)) return [row('expired')]
      const known = countsOf(channel, notice.kind)
      if (known.told < perMinute) {
        known.told += 1
        return [row('to_send')]
      }
      known.held += 1
      return known.held === 1 ? [row('held'), summaryOf(row('to_send'))] : [row('held')]
    },
  }
}

/** Its words are made when the minute is over. */
function summaryOf(first: NotificationRow): NotificationRow {
  return {
    ...first,
    id: v5(`more ${first.channel} ${first.kind} ${first.minute}`, v5.URL),
    event_id: null,
    type: SUMMARY_TYPE,
    level: 'warning',
    title: `More ${first.kind} than are told one by one`,
    body: '',
    run_id: null,
    order_id: null,
    mode: null,
  }
}

function jobOf({ id, channel, state }: NotificationRow): NewJob[] {
  if (state !== 'to_send') return []
  // A channel that does not answer holds up its own messages only.
  return [{ task: 'glados.send_notification', payload: { notification_id: id }, queue: `notify:${channel}` }]
}

type SendJob = Pick<Job, 'finish' | 'putBack' | 'attempts'>

export async function sendNotification(
  { db, record, channels, pageUrl, now }: Omit<Notifications, 'config'>,
  { notification_id }: TaskPayload<'glados.send_notification'>,
  job: SendJob,
): Promise<void> {
  const row = await getNotification(db.reader, notification_id)
  if (row === null || row.state === 'sent') return
  const left = Date.parse(row.minute) + MINUTE_MS + SETTLED_MS - now()
  if (row.event_id === null && left > 0) await job.putBack(left)
  const save = (changes: Partial<NotificationRow>, finish: boolean) =>
    db.write(async (tx) => {
      await record(tx, { writes: [{ kind: 'save_notifications', rows: [{ ...row, ...changes }] }], events: [] })
      if (finish) await job.finish(tx)
    })
  if (left < -STALE_MS) return save({ state: 'expired' }, true)
  const channel = channels.find(({ name }) => name === row.channel)
  if (channel === undefined) {
    return save({ state: 'failed', last_error: `${row.channel} is not configured any more` }, true)
  }
  const attempts = row.attempts + 1
  const words = row.event_id === null ? await summaryWords(db.reader, row) : {}
  try {
    await channel.send(messageOf({ ...row, ...words }, pageUrl))
  } catch (error) {
    const last_error = error instanceof Error ? error.message : String(error)
    const isLast = job.attempts >= TASKS['glados.send_notification'].maxAttempts
    await save({ ...words, attempts, last_error, state: isLast ? 'failed' : 'to_send' }, false)
    throw error
  }
  const sent_at = new Date(now()).toISOString()
  await save({ ...words, attempts, last_error: null, state: 'sent', sent_at }, true)
}

async function summaryWords(reader: Reader, row: NotificationRow): Promise<Pick<NotificationRow, 'title' | 'body'>> {
  const { count, titles } = await heldBack(reader, row)
  const more = count - titles.length
  return {
    title: `And ${count} more ${row.kind} in the minute from ${row.minute}`,
    body: [...titles, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
  }
}

function messageOf(row: NotificationRow, pageUrl: string | null): Message {
  const { id, kind, type, level, title, body: text, run_id, order_id, mode, ts } = row
  const url = pageUrl === null || run_id === null ? pageUrl : `${pageUrl}/runs/${run_id}`
  return { id, kind, type, level, title, text, run_id, order_id, mode, ts, url }
}
