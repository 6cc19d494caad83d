import { listPauses } from '../../db/events/job_control.ts'
import { type JobRow, type JobState, listJobs } from '../../db/walle/queries/jobs.ts'
import { type Control, openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { type CliContext, readLimit, withSystem } from './context.ts'

export interface JobsOptions {
  state?: JobState
  task?: string
  run?: string
  limit: string
  json: boolean
}

export async function jobsCommand(context: CliContext, options: JobsOptions): Promise<number> {
  const page_size = readLimit(options.limit)
  return withSystem(context, 'jobs', async ({ db }) => {
    const { state, task, run: run_id } = options
    const { items, total } = await listJobs(db.reader, { state, task, run_id, page: 1, page_size })
    const paused = await listPauses(db.reader)
    if (options.json) context.print(JSON.stringify({ items, total, paused }))
    else {
      for (const { kind, name, jobs } of paused) context.print(`the ${kind} ${name} is paused: ${jobs} jobs wait`)
      for (const job of items) context.print(line(job))
      if (items.length === 0)
        context.print(state === undefined ? 'No job waits, runs or is dead.' : `No job is ${state}.`)
    }
    return 0
  })
}

function line({ id, state, task, attempts, max_attempts, run_id, created_at, retried_as, error }: JobRow): string {
  const tries = max_attempts === null ? `attempt ${attempts}` : `attempt ${attempts} of ${max_attempts}`
  const retried = retried_as === null ? [] : [`now job ${retried_as}`]
  const why = error === null ? [] : [error.split('\n', 1)[0]]
  return [id.padStart(6), state.padEnd(9), task.padEnd(18), tries, run_id ?? '-', created_at, ...retried, ...why].join(
    '  ',
  )
}

/** A command on a job or a queue, told in one sentence. */
function acting(work: (commands: Control['commands'], given: string) => Promise<string>) {
  return (context: CliContext, given: string): Promise<number> =>
    withSystem(context, 'jobs', async (system) => {
      const control = await openControl(system, { workers: false })
      try {
        context.print(await work(control.commands, given))
        return 0
      } finally {
        await control.close()
      }
    })
}

const own = () => ({ corrId: wallClock.newId() })

export const retryCommand = acting(async (commands, id) => (await commands.retryJob(id, own())).message)
export const cancelCommand = acting(async (commands, id) => (await commands.cancelJob(id, own())).message)

export const pauseCommand = acting(async (commands, given) => {
  const { kind, name, jobs } = await commands.pauseJobs(given)
  return `the ${kind} ${name} is paused: ${jobs} more jobs wait, and so will new ones; jobs under way go on`
})

export const resumeCommand = acting(async (commands, given) => {
  const { kind, name, jobs } = await commands.resumeJobs(given)
  return `the ${kind} ${name} goes on: ${jobs} jobs`
})
