/** A clock of paper and live runs as a process of its own, for which a minute is a second. */
import { openDatabase } from '../../db/client.ts'
import { record } from '../../db/walle/record.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { createLiveClock } from '../../jobs/live/clock.ts'
import { fastClock } from './fast_clock.ts'

const [url = '', origin = '0'] = process.argv.slice(2)
const at = Number(origin)
const db = await openDatabase({ url, applicationName: `weaver clock ${process.pid}`, maxConnections: 3 })
const clock = createLiveClock({
  db,
  record,
  clock: fastClock(wallClock, { origin: at, start: at, factor: 60 }),
  log: (level, fields, message) => process.stdout.write(`${JSON.stringify({ level, ...fields, message })}\n`),
})
clock.start()
