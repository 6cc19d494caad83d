/** `weaver start`, `api` and `worker`: processes that stay. */
import { createApp } from '../../api/app.ts'
import { type ApiDependencies, STREAM_LIMITS } from '../../api/dependencies.ts'
import { apiConfigOf, type RunningServer, startServer } from '../../api/server.ts'
import { acquireStartLock } from '../../db/embedded.ts'
import { append } from '../../db/events/append.ts'
import { type Control, importInto, openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { withLogContext } from '../log.ts'
import { createMetrics } from '../metrics.ts'
import { checkReadiness } from '../readiness.ts'
import { openSystem, type System } from '../system.ts'
import { VERSION } from '../version.ts'
import type { CliContext } from './context.ts'
import { loadDemo } from './demo.ts'

interface Parts {
  api: boolean
  workers: boolean
}

/** A repeated signal within this time is the echo of the first. */
const ECHO_MS = 1_000

const WEB_ROOT = new URL('../../web/build/', import.meta.url)

/** Runs until it is told to stop (SIGINT, SIGTERM) or can do no more. */
export async function start(context: CliContext, parts: Parts): Promise<number> {
  const everything = parts.api && parts.workers
  const stop = stopSignal()
  const lock = everything ? await acquireStartLock(context.config.dataDir) : null
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

async function serve(context: CliContext, system: System, parts: Parts, stop: Promise<string>): Promise<number> {
  const control = await openControl(system, { workers: parts.workers })
  let server: RunningServer | null = null
  try {
    if (parts.api) server = await listen(context, system, control)
    if (parts.api && parts.workers) await loadDemo(system, control)
    await tellSystem(system, 'system.Started')
    context.print(server ? `Weaver is ready: ${server.url}` : 'The workers are ready.')
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
    await control.close()
  }
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
  const deps: ApiDependencies = {
    db,
    commands: { ...control.commands, importCandles: (request) => importInto(system, request) },
    catalog: control.catalog,
    readiness: () => checkReadiness({ db, dataDir: config.dataDir, schemaVersion: system.schemaVersion, ...wallClock }),
    metrics: createMetrics({ db, hosts: control.hosts, version: VERSION, now: wallClock.now }),
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

/**
 * Resolves with the signal's name at the first SIGINT or SIGTERM. A terminal tells the whole process group, and npm and
 * `deno task` pass on what they hear: the same wish comes twice. Later ones are from somebody who lost patience.
 */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let asked = Number.NaN
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const now = wallClock.now()
      if (Number.isNaN(asked)) {
        asked = now
        resolve(signal)
      } else if (now - asked > ECHO_MS) process.exit(1)
    })
  }
  return promise
}
