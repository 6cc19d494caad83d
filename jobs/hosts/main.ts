/**
 * A strategy host: a process in which strategies run, and nothing else does. Started by the pool, spoken to over stdio,
 * killed when a strategy hangs or takes too much memory. Ends with its parent.
 */
import { writeSync } from 'node:fs'
import process from 'node:process'
import { serve } from '../marvin/host_io.ts'
import { loadHandlers } from '../marvin/host_load.ts'
import { raiseWalls } from '../marvin/host_walls.ts'
import { auditHandlers } from './audits.ts'
import { runHandlers } from './runs.ts'

const STDERR = 2

function say(line: string): void {
  try {
    writeSync(STDERR, `${line}\n`)
  } catch {
    // A full or closed log is no reason to end a run.
  }
}

// Strategy code that rejects after its run is over must not end the runs of others.
process.on('unhandledRejection', (error) => say(`unhandled rejection: ${String(error)}`))
raiseWalls({ say, sealGlobal: !('Deno' in globalThis) })
await serve({ ...loadHandlers, ...runHandlers, ...auditHandlers })
