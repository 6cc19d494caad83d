/** A worker process of its own, to be killed: says which job it started and never ends it. Arguments: database URL. */
import { randomUUID } from 'node:crypto'
import { openDatabase } from '../../db/client.ts'
import { TASK_NAMES } from '../../db/events/tasks.ts'
import type { Handlers } from '../../jobs/attempt.ts'
import { startRunner } from '../../jobs/runner.ts'
import { pause } from './until.ts'

const url = process.argv[2] ?? ''
const never = async (_payload: unknown, job: { id: string; attempts: number }) => {
  process.stdout.write(`started ${job.id} attempt ${job.attempts}\n`)
  await new Promise(() => {})
}
await startRunner({
  url,
  db: await openDatabase({ url, applicationName: 'weaver test worker', maxConnections: 2 }),
  handlers: Object.fromEntries(TASK_NAMES.map((task) => [task, never])) as unknown as Handlers,
  pools: [{ name: 'batch', concurrency: 1, tasks: ['greta.run_chunk'] }],
  log: () => {},
  onFatal: () => process.exit(1),
  now: () => Date.now(),
  newId: () => randomUUID(),
  sleep: pause,
  strategyTimeoutMs: 30_000,
  process: { pid: process.pid, host: 'test' },
})
