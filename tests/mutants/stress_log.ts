/** Many writers, two sequencers, transactions that take their time and transactions that come to nothing. */
import { randomUUID } from 'node:crypto'
import { openDatabase } from '../../db/client.ts'
import type { Database } from '../../db/database.ts'
import type * as Append from '../../db/events/append.ts'
import { claim } from '../../db/events/claims.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import { mulberry32 } from '../../db/walle/generate.ts'
import { ALL_NUMBERED, mustHold, OF_THE_LOG } from '../chaos/invariants.ts'
import { insertRun, progressed } from '../support/log.ts'
import { pause } from '../support/until.ts'

const WRITERS = 6
const TRANSACTIONS = 12
const RUNS = 3
const LONGEST_PAUSE_MS = 12
const LONGEST_ROUND_MS = 30

class Nothing extends Error {}

/** Throws when an event was lost, numbered twice or out of order, or when a sequencer stumbled. */
export async function stressLog(url: string, seed: number, { append }: Pick<typeof Append, 'append'>): Promise<void> {
  const db = await openDatabase({ url, applicationName: 'weaver stress', maxConnections: WRITERS + 2 })
  try {
    const runs = await Promise.all(Array.from({ length: RUNS }, () => insertRun(db)))
    let writing = true
    const sequencing = [0, 1].map((n) => keepNumbering(db, mulberry32(seed * 100 + n), () => writing))
    for (const each of sequencing) each.catch(() => {})
    const writers = Array.from({ length: WRITERS }, (_, n) => write(db, append, runs, mulberry32(seed * 10 + n)))
    await Promise.all(writers)
    writing = false
    await Promise.all(sequencing)
    await createSequencer({ db, sleep: pause, onError: () => {} }).runOnce()
    await mustHold(db.reader, [...OF_THE_LOG, ALL_NUMBERED])
  } finally {
    await db.close()
  }
}

async function keepNumbering(db: Database, random: () => number, isWanted: () => boolean): Promise<void> {
  const sequencer = createSequencer({ db, sleep: pause, onError: () => {} })
  while (isWanted()) {
    await sequencer.runOnce()
    await pause(random() * LONGEST_ROUND_MS)
  }
}

async function write(
  db: Database,
  append: typeof Append.append,
  runs: readonly string[],
  random: () => number,
): Promise<void> {
  for (let n = 0; n < TRANSACTIONS; n++) {
    const run = runs[Math.floor(random() * runs.length)] as string
    const [early, before, after, fails] = [random() < 0.5, random(), random(), random() < 0.15]
    const events = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, index) => progressed(run, index))
    const work = db.write(async (tx) => {
      // Its transaction id is older than those of whoever appends meanwhile.
      if (early) await claim(tx, 'stress', randomUUID())
      await pause(before * LONGEST_PAUSE_MS)
      await append(tx, events)
      await pause(after * LONGEST_PAUSE_MS)
      if (fails) throw new Nothing()
    })
    await work.catch((error: unknown) => {
      if (!(error instanceof Nothing)) throw error
    })
  }
}
