/**
 * The workers, in a process of their own that may end: one that lost its connections, ran out of memory or was killed is
 * started again by whoever started it. It ends at once with an error, whatever it was doing, because a worker that lost its
 * lease must do nothing more; and it ends with its parent.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { type Reaper, startReaper } from '../marvin/host_reaper.ts'
import { openSystem } from '../system.ts'
import { type CliContext, CliError } from './context.ts'
import { stopSignal } from './signals.ts'

export interface Workers {
  /** Rejects when they could not be started for the first time. */
  ready: Promise<void>
  stop(): Promise<void>
}

const ENTRY = fileURLToPath(new URL('../../weaver.ts', import.meta.url))
/** Before they are started again: longer each time, until they have worked for a while. */
const PAUSE_MS = { first: 100, most: 5_000 }
const STEADY_MS = 10_000
/** Longer than jobs under way may take to end. */
const STOP_MS = 20_000

function launch({ config }: CliContext, reaper: Reaper, env: Record<string, string>) {
  const runtime = process.versions.deno ? ['run', '-A'] : process.execArgv
  const child = spawn(process.execPath, [...runtime, ENTRY, 'work'], {
    // Compiled once: loading the program takes a third of the time from then on.
    env: { ...process.env, NODE_COMPILE_CACHE: join(config.dataDir, 'compile-cache'), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { pid } = child
  if (pid !== undefined) {
    reaper.add(pid)
    child.once('exit', () => reaper.remove(pid))
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
  const ready = Promise.race([
    once(child.stdout, 'data').then(
      () => true,
      () => false,
    ),
    ended.then(() => false),
  ])
  return { child, ended, ready }
}

/** Starts workers and keeps them: `env` is added to the environment. */
export function keepWorkers(context: CliContext, env: Record<string, string> = {}): Workers {
  const { log } = context
  const first = Promise.withResolvers<void>()
  const stopping = Promise.withResolvers<void>()
  // Killed with us, however we end.
  const reaper = startReaper()
  let stopped = false
  let current = launch(context, reaper, env)

  async function keep(): Promise<void> {
    let pauseMs = PAUSE_MS.first
    let everReady = false
    while (!stopped) {
      const began = wallClock.now()
      if (await current.ready) {
        everReady = true
        first.resolve()
      }
      const how = await current.ended
      if (stopped) return
      if (!everReady) {
        first.reject(new CliError(`the workers could not be started (${how}); see above`))
        return
      }
      if (wallClock.now() - began > STEADY_MS) pauseMs = PAUSE_MS.first
      log.warn({ how }, `the workers ended by themselves: starting them again in ${pauseMs} ms`)
      await Promise.race([stopping.promise, wallClock.sleep(pauseMs)])
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS.most)
      if (!stopped) current = launch(context, reaper, env)
    }
  }
  first.promise.catch(() => {})
  const kept = keep()
  return {
    ready: first.promise,
    async stop() {
      stopped = true
      stopping.resolve()
      const { child, ended } = current
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await ended
      clearTimeout(timer)
      await kept
      reaper.end()
    },
  }
}

/** `weaver worker`: workers without an API, until told to stop. */
export async function workerCommand(context: CliContext): Promise<number> {
  const stop = stopSignal()
  const workers = keepWorkers(context)
  try {
    await Promise.race([workers.ready, stop])
    context.print('The workers are ready.')
    await stop
    return 0
  } finally {
    await workers.stop()
  }
}

/** `weaver work`: the process that `keepWorkers` starts. */
export async function workCommand(context: CliContext): Promise<number> {
  const stop = stopSignal()
  const system = await openSystem(context.config, context.log, 'weaver worker')
  try {
    const control = await openControl(system, { workers: true })
    try {
      context.print('ready')
      const end = await Promise.race([stop, control.failed])
      if (end instanceof Error) {
        context.log.error({ err: end }, 'the workers can do no more')
        process.exit(1)
      }
    } finally {
      await control.close()
    }
  } finally {
    await system.close()
  }
  return 0
}
