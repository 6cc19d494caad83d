/** A `start` that is killed while it holds the lock of its data directory. */
import { acquireStartLock } from '../../db/embedded.ts'

const [dataDir = ''] = process.argv.slice(2)
await acquireStartLock(dataDir)
process.kill(process.pid, 'SIGKILL')
