/** A process that uses the embedded Postgres of a data directory: says its URL, and lets go on a line of input. */
import { acquirePostgres } from '../../db/embedded.ts'

const [dataDir = ''] = process.argv.slice(2)
const postgres = await acquirePostgres({ dataDir, connections: 100 })
process.stdout.write(`${postgres.url}\n`)
process.stdin.once('data', async () => {
  await postgres.release()
  process.exit(0)
})
