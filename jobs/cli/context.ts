/** What every command gets: configuration, log, and the way to its terminal. */
import { redact } from '../../db/secrets.ts'
import type { Config } from '../config/config.ts'
import { createLog, type Log } from '../log.ts'
import { openSystem, type System } from '../system.ts'

export interface CliContext {
  config: Config
  log: Log
  /** To stdout: what was asked for. */
  print(text: string): void
  /** To stderr: everything else. */
  note(text: string): void
}

/** A failure told in one sentence, without a stack. */
export class CliError extends Error {
  readonly exitCode: number
  constructor(message: string, exitCode = 1) {
    super(message)
    this.name = 'CliError'
    this.exitCode = exitCode
  }
}

/** How many rows a list shows, as a person gives it. */
export function readLimit(given: string): number {
  const limit = Number(given)
  if (!Number.isInteger(limit) || limit < 1 || limit > 100)
    throw new CliError('--limit must be a whole number from 1 to 100', 2)
  return limit
}

export function createContext(config: Config): CliContext {
  return {
    config,
    log: createLog(config.logLevel),
    print: (text) => process.stdout.write(`${redact(text)}\n`),
    note: (text) => process.stderr.write(`${redact(text)}\n`),
  }
}

/** Opens the system for one command's duration. Its everyday log lines are not what the command was asked for. */
export async function withSystem<T>(
  context: CliContext,
  name: string,
  work: (system: System) => Promise<T>,
): Promise<T> {
  const log = createLog(context.config.logLevel === 'info' ? 'warn' : context.config.logLevel)
  const system = await openSystem(context.config, log, `weaver ${name}`)
  try {
    return await work(system)
  } finally {
    await system.close()
  }
}
