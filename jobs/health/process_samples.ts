/** A worker process writes down how it is: nobody can ask it, and any API process tells it to Prometheus. */
import { hostname } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { forgetProcess, noteProcess } from '../../db/events/health.ts'
import { createPauses } from '../../db/events/pauses.ts'
import { wallClock } from '../glados/clock.ts'
import type { HostPool } from '../marvin/host_pool.ts'
import type { System } from '../system.ts'

export interface Sampling {
  stop(): Promise<void>
}

const EVERY_MS = 5_000
/** A process cannot end while it sleeps. */
const STEP_MS = 500
const LAG_RESOLUTION_MS = 20

export function startSampling({ db, log }: System, hosts: Pick<HostPool, 'counts'>): Sampling {
  const pauses = createPauses(wallClock.sleep)
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  const me = { host: hostname(), pid: process.pid }
  const startedAt = new Date(wallClock.now()).toISOString()
  let stopped = false
  lag.enable()

  async function sample(): Promise<void> {
    const { user, system } = process.cpuUsage()
    const { open, busy, started, lost } = hosts.counts()
    // Without a sample yet it is no number.
    const late = lag.percentile(99)
    lag.reset()
    await noteProcess(db, {
      ...me,
      startedAt,
      rssBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1e6,
      eventLoopLagSeconds: Number.isFinite(late) ? Math.max(0, late / 1e9 - LAG_RESOLUTION_MS / 1e3) : 0,
      hostsOpen: open,
      hostsBusy: busy,
      hostsStarted: started,
      hostsLost: lost,
    })
  }

  async function rounds(): Promise<void> {
    while (!stopped) {
      await sample().catch((error: unknown) => log.warn({ err: error }, 'this process cannot write down how it is'))
      for (let left = EVERY_MS; left > 0 && !stopped; left -= STEP_MS) {
        await pauses.pause(STEP_MS)
      }
    }
  }

  const running = rounds()
  return {
    async stop() {
      stopped = true
      pauses.wake()
      await running
      lag.disable()
      await forgetProcess(db, me).catch((error: unknown) => log.warn({ err: error }, 'this process stays on the list'))
    },
  }
}
