/** The workers of one process: the sequencer and the job pools, with the handler of every task. */
import { hostname } from 'node:os'
import { createSequencer } from '../db/events/sequencer.ts'
import { isTask, TASKS } from '../db/events/tasks.ts'
import { lockRun } from '../db/walle/queries/runs.ts'
import { record } from '../db/walle/record.ts'
import type { Handlers } from './attempt.ts'
import { type BandJobs, runBand } from './backtest/band_job.ts'
import { type ChainJobs, runHop } from './backtest/chain_jobs.ts'
import { type BacktestJobs, failed, finishBacktest, runChunkJob, startBacktest } from './backtest/jobs.ts'
import { createRunDataCache } from './backtest/run_data.ts'
import { poolsOf } from './connections.ts'
import { CONSUMERS, startConsumers } from './consumers.ts'
import { lostReport } from './glados/awaited.ts'
import { type PreciseClock, wallClock } from './glados/clock.ts'
import { startSampling } from './health/process_samples.ts'
import { createHostRuns } from './hosts/client.ts'
import { endRun } from './live/end.ts'
import { type LiveHosts, type LiveWorker, openLiveWorker } from './live/worker.ts'
import type { HostPool } from './marvin/host_pool.ts'
import { type Notify, openNotify } from './notify/notify.ts'
import { startRetention } from './retention.ts'
import { type Runner, startRunner } from './runner.ts'
import type { System } from './system.ts'
import { systemThrottle, throttled } from './throttle.ts'

export interface Worker {
  stop(): Promise<void>
}

export interface Hosts extends LiveHosts {
  hosts: HostPool
  /** Whether it stays: a command's worker, which is gone in a moment, ticks nothing and keeps no account. */
  stays: boolean
  /** What paper and live runs go by. */
  time: PreciseClock
}

/** `onFatal`: the workers can do no more; the process is to end and be started again. */
export async function startWorker(
  system: System,
  { hosts, liveHosts, newHosts, stays, time }: Hosts,
  onFatal: (error: Error) => void,
): Promise<Worker> {
  const { db, log, url, config } = system
  const sequencer = createSequencer({
    db,
    sleep: wallClock.sleep,
    onError: (error) => log.error({ err: error }, 'sequencer'),
  })
  const live = await openLiveWorker(system, { liveHosts, newHosts }, time)
  if (stays) await live.prepare()
  const notify = openNotify(system)
  const runner: Runner = await startRunner({
    url,
    db,
    handlers: { ...createHandlers(system, hosts, live), ...notify.handlers },
    pools: poolsOf(config.workers, stays ? notify.channels.length : 0),
    passedOver: live.passedOver,
    strategyTimeoutMs: config.strategyTimeoutMs,
    log: (level, message) => log[level === 'warning' ? 'warn' : level](message),
    onFatal,
    // A run would wait for ever for a job that drives it.
    onDeadJob: async (tx, job) => {
      const run = job.runId === null ? null : await lockRun(tx, job.runId)
      if (run?.status === 'running' && isTask(job.task) && TASKS[job.task].drivesRun) {
        const failure = { message: `the job ${job.task} failed for good: ${job.error}` }
        const end = run.mode === 'backtest' ? failed(wallClock, run, failure) : await endRun(time, tx, run, failure)
        // The checkpoint stays: when somebody has the job tried again, the run goes on from it.
        await record(tx, { ...end, writes: end.writes.filter(({ kind }) => kind !== 'drop_checkpoint') })
      }
      const lost = run === null ? null : lostReport(job.task, run.id, job.error)
      if (lost !== null) await record(tx, lost)
    },
    now: wallClock.now,
    newId: wallClock.newId,
    sleep: wallClock.sleep,
    process: { pid: process.pid, host: hostname() },
  })
  sequencer.start()
  if (stays) {
    live.start()
    await notify.start()
  }
  const consumers = startConsumers(system, CONSUMERS)
  const retention = startRetention(system)
  const sampling = startSampling(system, hosts)
  return {
    async stop() {
      await Promise.all([live.stop(), notify.stop()])
      await runner.stop()
      await live.close()
      await consumers.stop()
      await retention.stop()
      await sampling.stop()
      await sequencer.stop()
    },
  }
}

function createHandlers(system: System, hosts: HostPool, live: LiveWorker): Omit<Handlers, keyof Notify['handlers']> {
  const { db, config } = system
  const throttle = systemThrottle(system)
  const hostRuns = createHostRuns({ db, hosts, dataDir: config.dataDir })
  const jobs: BacktestJobs & ChainJobs & BandJobs = {
    db,
    record: async (tx, outcome) => {
      await record(tx, outcome)
    },
    loadRun: createRunDataCache(db.reader),
    playChunk: hostRuns.playChunk,
    playVariant: hostRuns.playVariant,
    forget: hostRuns.forget,
    hop: hostRuns.hop,
    now: wallClock.now,
    newId: wallClock.newId,
  }
  return {
    ...live.handlers,
    'greta.start_run': throttled(throttle, (payload, job) => startBacktest(jobs, payload, job)),
    'greta.run_chunk': throttled(throttle, (payload, job) => runChunkJob(jobs, payload, job)),
    'greta.finish_run': (payload, job) => finishBacktest(jobs, payload, job),
    'greta.run_band': (payload, job) => runBand(jobs, payload, job),
    // A tick's first hop; those after it wait for it.
    'greta.match_orders': throttled(throttle, (payload, job) => runHop(jobs, 'greta.match_orders', payload, job)),
    'marvin.on_tick': (payload, job) => runHop(jobs, 'marvin.on_tick', payload, job),
    'greta.fetch_window': (payload, job) => runHop(jobs, 'greta.fetch_window', payload, job),
    'marvin.on_window': (payload, job) => runHop(jobs, 'marvin.on_window', payload, job),
    'greta.place_order': (payload, job) => runHop(jobs, 'greta.place_order', payload, job),
    'greta.cancel_order': (payload, job) => runHop(jobs, 'greta.cancel_order', payload, job),
  }
}
