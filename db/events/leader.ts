/**
 * One of many: of all instances of a service, in whatever processes, the one that holds the session advisory lock works;
 * the others stand by and take over when its connection is gone.
 */
import type { Database, Listener, Session } from '../database.ts'
import { createPauses } from './pauses.ts'

/** What follows a round: the next one at once; a rest that a notification ends; or a pause that nothing but `stop` ends. */
export type Next = 'again' | 'rest' | { pauseMs: number }

export interface LeaderOptions {
  db: Database
  sleep: (ms: number) => Promise<void>
  /** Told of every failure; the service goes on by itself. */
  onError: (error: unknown) => void
  /** SQL of the advisory lock's key, and its $1. */
  key: { sql: string; value?: string }
  /** A notification there ends a rest. It is only a hint: a rest lasts `pollMs` at most. */
  channel: string
  pollMs: number
  /** How often a stand-by asks whether the leader is gone. */
  standByMs: number
  /** The lead is taken. */
  onLead?: () => Promise<void>
  /** The lead is lost or given up. */
  onEnd?: () => Promise<void>
  round: () => Promise<Next>
}

export interface Leader {
  start(): void
  /** Ends a rest, as a notification does. */
  wake(): void
  /** Waits for the round under way. */
  stop(): Promise<void>
}

export function createLeader(options: LeaderOptions): Leader {
  const { db, sleep, onError, key, channel, pollMs, standByMs, onLead, onEnd, round } = options
  const waiting = createWaiting(sleep)
  let running: Promise<void> | null = null

  async function lead(session: Session): Promise<void> {
    let lost = false
    session.lost.then(() => {
      lost = true
      waiting.wake()
    })
    const isOver = () => waiting.stopped() || lost
    try {
      await onLead?.()
      // What happens during a round wakes the rest after it.
      while (!isOver()) {
        const next = await round()
        if (next === 'again') continue
        await (next === 'rest' ? waiting.rest(pollMs) : waiting.pause(next.pauseMs, isOver))
      }
    } finally {
      await onEnd?.()
    }
  }

  /** One term: from asking for the lead to losing it. */
  async function serve(): Promise<void> {
    const session = await db.session()
    let listener: Listener | null = null
    try {
      while (!waiting.stopped()) {
        const [row] = await session.query<{ mine: boolean }>(
          `select pg_try_advisory_lock(${key.sql}) as mine`,
          key.value === undefined ? [] : [key.value],
        )
        if (row?.mine === true) {
          listener = await db.listen(channel, { onNotify: waiting.wake, onReady: waiting.wake })
          return await lead(session)
        }
        await waiting.rest(standByMs)
      }
    } finally {
      await listener?.close()
      await session.close()
    }
  }

  async function serveAlways(): Promise<void> {
    while (!waiting.stopped()) {
      await serve().catch(onError)
      if (!waiting.stopped()) await waiting.rest(standByMs)
    }
  }

  return {
    start() {
      if (running !== null) return
      waiting.start()
      running = serveAlways()
    },
    wake: waiting.wake,
    async stop() {
      waiting.stop()
      await running
      running = null
    },
  }
}

/** A process cannot end while it sleeps. */
const LONGEST_SLEEP_MS = 500

/** The two ways of doing nothing: until something happens, and for a while whatever happens. `stop` ends both. */
function createWaiting(sleep: (ms: number) => Promise<void>) {
  const rests = createPauses(sleep)
  const pauses = createPauses(sleep)
  let stopped = false
  /** Something has happened since the last rest. */
  let woken = false
  const wake = () => {
    woken = true
    rests.wake()
  }
  return {
    stopped: () => stopped,
    wake,
    async rest(ms: number): Promise<void> {
      if (!woken) await rests.pause(ms)
      woken = stopped
    },
    async pause(ms: number, isOver: () => boolean): Promise<void> {
      for (let left = ms; left > 0 && !isOver(); left -= LONGEST_SLEEP_MS) {
        await pauses.pause(Math.min(left, LONGEST_SLEEP_MS))
      }
    },
    start() {
      stopped = false
      woken = false
    },
    stop() {
      stopped = true
      wake()
      pauses.wake()
    },
  }
}
