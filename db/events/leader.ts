/**
 * One of many: of all instances of a service, in whatever processes, the one that holds the session advisory lock works;
 * the others stand by and take over when its connection is gone.
 */
import type { Database, Listener, Session } from '../database.ts'

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
  round: () => Promise<Next>
}

export interface Leader {
  start(): void
  /** Waits for the round under way. */
  stop(): Promise<void>
}

/** A sleep cannot be cut short, and a process cannot end while it lasts. */
const LONGEST_SLEEP_MS = 500

export function createLeader(options: LeaderOptions): Leader {
  const { db, sleep, onError, key, channel, pollMs, standByMs, onLead, round } = options
  let running: Promise<void> | null = null
  let stopped = false
  let ended = Promise.withResolvers<void>()
  let woken = Promise.withResolvers<void>()
  const wake = () => woken.resolve()
  const rest = async (ms: number) => {
    await Promise.race([woken.promise, sleep(ms)])
    if (!stopped) woken = Promise.withResolvers<void>()
  }
  const pause = async (ms: number, isOver: () => boolean) => {
    for (let left = ms; left > 0 && !isOver(); left -= LONGEST_SLEEP_MS) {
      await Promise.race([ended.promise, sleep(Math.min(left, LONGEST_SLEEP_MS))])
    }
  }

  async function lead(session: Session): Promise<void> {
    let lost = false
    session.lost.then(() => {
      lost = true
      wake()
    })
    const isOver = () => stopped || lost
    await onLead?.()
    // What happens during a round wakes the rest after it.
    while (!isOver()) {
      const next = await round()
      if (next === 'again') continue
      await (next === 'rest' ? rest(pollMs) : pause(next.pauseMs, isOver))
    }
  }

  /** One term: from asking for the lead to losing it. */
  async function serve(): Promise<void> {
    const session = await db.session()
    let listener: Listener | null = null
    try {
      while (!stopped) {
        const [row] = await session.query<{ mine: boolean }>(
          `select pg_try_advisory_lock(${key.sql}) as mine`,
          key.value === undefined ? [] : [key.value],
        )
        if (row?.mine === true) {
          listener = await db.listen(channel, { onNotify: wake, onReady: wake })
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
      if (running !== null) return
      stopped = false
      ended = Promise.withResolvers<void>()
      woken = Promise.withResolvers<void>()
      running = serveAlways()
    },
    async stop() {
      stopped = true
      ended.resolve()
      wake()
      await running
      running = null
    },
  }
}
