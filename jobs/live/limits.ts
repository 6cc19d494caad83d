/** What the installation allows may have changed while runs went on: from now on it holds for them too. */
import { runningLiveRuns } from '../../db/walle/queries/live_runs.ts'
import { lockRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { changedLimits, type HeldLimits, type RiskLimits } from '../glados/risk.ts'
import type { Live } from './live.ts'

type LimitJobs = Pick<Live, 'db' | 'record' | 'now' | 'newId' | 'log'>

export async function applyLimits(jobs: LimitJobs, everywhere: RiskLimits): Promise<void> {
  for (const { id } of await runningLiveRuns(jobs.db.reader)) {
    await jobs.db.write(async (tx) => {
      const run = await lockRun(tx, id)
      if (run?.status === 'running') await apply(jobs, tx, run, everywhere)
    })
  }
}

async function apply(
  { record, now, newId, log }: LimitJobs,
  tx: Parameters<Live['record']>[0],
  run: RunRow,
  everywhere: RiskLimits,
): Promise<void> {
  const risk = changedLimits({ mode: run.mode, own_risk: run.own_risk, risk: run.risk }, everywhere)
  if (risk === null) return
  log('info', { run_id: run.id, before: run.risk, risk }, 'other limits hold for a run from now on')
  await record(tx, {
    writes: [{ kind: 'update_run', id: run.id, changes: { risk: risk as HeldLimits } }],
    events: [
      {
        id: newId(),
        type: 'run.LimitsChanged',
        run_id: run.id,
        corr_id: run.open_corr_id ?? run.id,
        causation_id: null,
        ts: new Date(now()).toISOString(),
        producer: 'glados',
        payload: { run_id: run.id, risk: risk as HeldLimits },
      },
    ],
  })
}
