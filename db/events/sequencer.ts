/**
 * Gives committed events their seq. One leader, by session advisory lock; the others stand by. Two leaders for a moment
 * (a connection that died unnoticed) do no harm: sequence_outbox() locks its state row.
 */
import type { Database } from '../database.ts'
import { APPENDED, SEQUENCED } from './append.ts'
import { createLeader, type Leader } from './leader.ts'

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

export interface Sequencer extends Leader {
  /** Numbers what was committed since the last round; gives how many events that was. */
  runOnce(): Promise<{ numbered: number }>
}

const POLL_MS = 250
const STAND_BY_MS = 500

async function sequenceOnce(db: Database): Promise<{ numbered: number }> {
  return db.write(async (tx) => {
    const [row] = await tx.query<{ numbered: string | number }>('select weaver.sequence_outbox() as numbered')
    const numbered = Number(row?.numbered ?? 0)
    if (numbered > 0) await tx.query(`select pg_notify('${SEQUENCED}', '')`)
    return { numbered }
  })
}

export function createSequencer(options: SequencerOptions): Sequencer {
  const { db, pollMs = POLL_MS, standByMs = STAND_BY_MS } = options
  const leader = createLeader({
    ...options,
    pollMs,
    standByMs,
    key: { sql: `hashtextextended('weaver:sequencer', 0)` },
    channel: APPENDED,
    async round() {
      await sequenceOnce(db)
      return 'rest'
    },
  })
  return { ...leader, runOnce: () => sequenceOnce(db) }
}
