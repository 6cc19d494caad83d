/**
 * Gives committed events their seq. One leader, by session advisory lock; the others stand by. Two leaders for a moment
 * (a connection that died unnoticed) do no harm: sequence_outbox() locks its state row.
 */
import type { Database, Listener, Session } from '../database.ts'
import { APPENDED, SEQUENCED } from './append.ts'

export interface SequencerOptions {
  db: Database
  sleep: (ms: number) => Promise<void>
  /** Told of every failure; the sequencer goes on by itself. */
  onError: (error: unknown) => void
  /** A notification is only a hint: the log is read at least this often. */
  pollMs?: number
  /** How often a stand-by asks whether the leader is gone. */
  standByMs?: number
}

export interface Sequencer {
  start(): void
  /** Waits for the round under way. */
  stop(): Promise<void>
  /** Numbers what was committed since the last round; gives how many events that was. */
  runOnce(): Promise<{ numbered: number }>
}

const POLL_MS = 250
const STAND_BY_MS = 500
const LEADERSHIP = `hashtextextended('weaver:sequencer', 0)`

async function sequenceOnce(db: Database): Promise<{ numbered: number }> {
  return db.write(async (tx) => {
    const [row] = await tx.query<{ numbered: string | number }>('select weaver.sequence_outbox() as numbered')
    const numbered = Number(row?.numbered ?? 0)
    if (numbered > 0) await tx.query(`select pg_notify('${SEQUENCED}', '')`)
    return { numbered }
  })
}

export function createSequencer(options: SequencerOptions): Sequencer {
  const { db, sleep, onError, pollMs = POLL_MS, standByMs = STAND_BY_MS } = options
  let running: Promise<void> | null = null
  let stopped = false
  let woken = Promise.withResolvers<void>()
  const wake = () => woken.resolve()
  const rest = async (ms: number) => {
    await Promise.race([woken.promise, sleep(ms)])
    if (!stopped) woken = Promise.withResolvers<void>()
  }

  async function lead(session: Session): Promise<void> {
    let lost = false
    session.lost.then(() => {
      lost = true
      wake()
    })
    // What commits during a round wakes the rest after it.
    while (!stopped && !lost) {
      await sequenceOnce(db)
      await rest(pollMs)
    }
  }

  /** One term: from asking for the lead to losing it. */
  async function serve(): Promise<void> {
    const session = await db.session()
    let listener: Listener | null = null
    try {
      while (!stopped) {
        const [row] = await session.query<{ mine: boolean }>(`select pg_try_advisory_lock(${LEADERSHIP}) as mine`)
        if (row?.mine === true) {
          listener = await db.listen(APPENDED, { onNotify: wake, onReady: wake })
          return await lead(session)
        }
        await rest(standByMs)
      }
    } finally {
      await listener?.close()
      await session.close()
    }
  }

  async function serveAlways(): Promise<void> {
    while (!stopped) {
      await serve().catch(onError)
      if (!stopped) await rest(standByMs)
    }
  }

  return {
    start() {
      stopped = false
      woken = Promise.withResolvers<void>()
      running ??= serveAlways()
    },
    async stop() {
      stopped = true
      wake()
      await running
      running = null
    },
    runOnce: () => sequenceOnce(db),
  }
}
