/** Two instances of a consumer whose transactions now and then come to nothing in the end. */
import { openDatabase } from '../../db/client.ts'
import type { Database } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import { claim } from '../../db/events/claims.ts'
import type * as Offsets from '../../db/events/offsets.ts'
import { createSequencer } from '../../db/events/sequencer.ts'
import { mulberry32 } from '../../db/walle/generate.ts'
import { systemStarted } from '../support/log.ts'
import { pause } from '../support/until.ts'

const EVENTS = 60
const LOST = 0.3

class Lost extends Error {}

/** As `db`, but a commit is lost now and then. */
function losing(db: Database, random: () => number): Database {
  return {
    ...db,
    write: (work) =>
      db.write(async (tx) => {
        const result = await work(tx)
        if (random() < LOST) throw new Lost()
        return result
      }),
  }
}

/** Throws when an event had its effect not once, or out of order. */
export async function stressConsumer(url: string, seed: number, { consume }: Pick<typeof Offsets, 'consume'>) {
  const db = await openDatabase({ url, applicationName: 'weaver stress', maxConnections: 6 })
  const random = mulberry32(seed)
  const unreliable = losing(db, random)
  const wrong: string[] = []
  try {
    await db.write((tx) =>
      append(
        tx,
        Array.from({ length: EVENTS }, () => systemStarted()),
      ),
    )
    await createSequencer({ db, sleep: pause, onError: () => {} }).runOnce()
    const instance = async () => {
      for (let idle = 0; idle < 3 && wrong.length === 0; ) {
        const batch = consume({
          db: unreliable,
          consumerId: 'stress',
          limit: 1 + Math.floor(random() * 5),
          async handle(tx, events) {
            for (const { seq, envelope } of events) {
              if (!(await claim(tx, 'stress', envelope.id))) wrong.push(`event ${seq} had its effect before`)
            }
            await pause(random() * 3)
          },
        })
        const moved = await batch.then(
          ({ from, to }) => to > from,
          (error: unknown) => {
            if (error instanceof Lost || (error instanceof Error && error.cause instanceof Lost)) return true
            throw error
          },
        )
        idle = moved ? 0 : idle + 1
        await pause(random() * 3)
      }
    }
    await Promise.all([instance(), instance()])
    const [row] = await db.reader.query<{ effects: string }>('select count(*) as effects from weaver.event_claims')
    if (wrong.length === 0 && Number(row?.effects) < EVENTS)
      wrong.push(`${row?.effects} of ${EVENTS} events had an effect`)
    if (wrong.length > 0) throw new Error(wrong.join('\n'))
  } finally {
    await db.close()
  }
}
