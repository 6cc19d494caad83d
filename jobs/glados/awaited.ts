/** Reports that somebody waits for while a job makes them: who loses the job ends the wait, who tries it again begins it anew. */
import type { TaskName } from '../../db/events/tasks.ts'
import type { Outcome } from '../../db/walle/outcome.ts'

/** Null: nobody waits for what the task makes. */
export function lostReport(task: string, run_id: string, error: string): Outcome | null {
  return reportOutcome(task, run_id, { state: 'error', error })
}

export function awaitedReport(task: TaskName, run_id: string): Outcome | null {
  return reportOutcome(task, run_id, { state: 'waiting', error: null })
}

type Report = { state: 'error'; error: string } | { state: 'waiting'; error: null }

function reportOutcome(task: string, run_id: string, { state, error }: Report): Outcome | null {
  if (task === 'greta.replay_run') {
    const begins = { state: 'pending', progress: 0, replayed_at: null } as const
    const changes = { ...(state === 'error' ? { state } : begins), result: null, error }
    return { writes: [{ kind: 'update_parity', run_id, changes }], events: [] }
  }
  if (task === 'greta.run_band') {
    const status = state === 'error' ? state : 'running'
    return { writes: [{ kind: 'save_band', run_id, status, progress: 0, result: null, error }], events: [] }
  }
  return null
}
