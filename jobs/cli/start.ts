/** `weaver start` and `api`: the process that stays, with the API; the workers of `start` are its child. */
import { setTimeout as delay } from 'node:timers/promises'
import { createApp } from '../../api/app.ts'
import { type ApiDependencies, STREAM_LIMITS } from '../../api/dependencies.ts'
import { apiConfigOf, type RunningServer, startServer } from '../../api/server.ts'
import { acquireStartLock } from '../../db/embedded.ts'
import { append } from '../../db/events/append.ts'
import { serverHealth } from '../../db/events/health.ts'
import { tooFewConnections } from '../connections.ts'
import { type Control, importInto, openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { pressHalt } from '../glados/halts/press.ts'
import { createMetrics } from '../health/metrics.ts'
import { checkReadiness } from '../health/readiness.ts'
import { withLogContext } from '../log.ts'
import { openSystem, type System } from '../system.ts'
import { refuseWhileThrottled, systemThrottle } from '../throttle.ts'
import { VERSION } from '../version.ts'
import type { CliContext } from './context.ts'
import { loadDemo } from './demo.ts'
import { stopSignal } from './signals.ts'
import { keepWorkers } from './workers.ts'

const WEB_ROOT = new URL('../../web/build/', import.meta.url)

/** Runs until it is told to stop (SIGINT, SIGTERM) or can do no more. */
export async function start(context: CliContext, parts: { workers: boolean }): Promise<number> {
  const stop = stopSignal()
  const lock = parts.workers ? await acquireStartLock(context.config.dataDir) : null
  try {
    const system = await openSystem(context.config, context.log, 'weaver')
    try {
      return await serve(context, system, parts, stop)
    } finally {
      await system.close()
    }
  } finally {
    await lock?.release()
  }
}

async function serve(
  context: CliContext,
  system: System,
  parts: { workers: boolean },
  stop: Promise<string>,
): Promise<number> {
  const control = await openControl(system, { workers: false })
  const workers = parts.workers ? keepWorkers(context, { DATABASE_URL: system.url }) : null
  let server: RunningServer | null = null
  try {
    server = await listen(context, system, control)
    if (workers) await loadDemo(system, control)
    await tellSystem(system, 'system.Started')
    await Promise.race([workers?.ready, stop])
    context.print(`Weaver is ready: ${server.url}`)
    for (const line of strangeHosts(control)) context.print(line)
    const crowded = tooFewConnections(context.config, await serverHealth(system.db.reader))
    if (crowded !== null) context.print(crowded)
    const end = await Promise.race([stop, control.failed])
    if (end instanceof Error) {
      context.log.error({ err: end }, 'ending, to be started again')
      context.note(`weaver: ${end.message}`)
      return 1
    }
    context.log.info({ signal: end }, 'stopping')
    await tellSystem(system, 'system.Stopping')
    return 0
  } finally {
    await server?.close()
    await workers?.stop()
    await control.close()
  }
}

/** An emulator must not be mistaken for the exchange, nor the other way round. */
function strangeHosts({ venues }: Control): string[] {
  return venues
    .known()
    .flatMap(({ exchange, accounts }) =>
      accounts
        .filter(({ custom_host }) => custom_host)
        .map(({ mode, host }) => `Orders of ${exchange} ${mode} go to ${host}, which is not the exchange's own host.`),
    )
}

async function tellSystem({ db }: System, type: 'system.Started' | 'system.Stopping'): Promise<void> {
  const id = wallClock.newId()
  const ts = new Date(wallClock.now()).toISOString()
  await db.write((tx) =>
    append(tx, [
      {
        id,
        type,
        run_id: null,
        corr_id: id,
        causation_id: null,
        ts,
        producer: 'glados',
        payload: { version: VERSION },
      },
    ]),
  )
}

function listen({ config, log }: CliContext, system: System, control: Control): Promise<RunningServer> {
  const { db } = system
  const throttle = systemThrottle(system)
  const importCandles: ApiDependencies['commands']['importCandles'] = async (request) => {
    await refuseWhileThrottled(throttle)
    return importInto(system, request)
  }
  const { now } = wallClock
  // An answer that was not needed must not keep the process from ending.
  const sleep = (ms: number) => delay(ms, undefined, { ref: false })
  const deps: ApiDependencies = {
    db,
    commands: { ...control.commands, importCandles },
    pressHalt: (request, context) =>
      pressHalt({ config, log, open: async () => system, patience: sleep }, request, context),
    catalog: control.catalog,
    exchanges: control.venues.known,
    trace: (order) => control.tracer.trace(order),
    readiness: () =>
      checkReadiness({
        ...{ db, dataDir: config.dataDir, schemaVersion: system.schemaVersion, now, sleep },
        ...{ beats: config.heartbeatUrl !== null, strategyTimeoutMs: config.strategyTimeoutMs },
      }),
    metrics: createMetrics({ db, hosts: control.hosts, version: VERSION, now }),
    config: apiConfigOf(config),
    version: VERSION,
    clock: wallClock,
    log,
    withLogContext,
    stream: STREAM_LIMITS,
    webRoot: WEB_ROOT,
  }
  return startServer({ api: createApp(deps), host: config.host, port: config.port })
}
