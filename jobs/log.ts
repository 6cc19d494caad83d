/** Structured logs, one JSON line each, on stderr: stdout belongs to what a command was asked for. */
import pino from 'pino'
import type { Config } from './config.ts'

export type Log = pino.Logger

export function createLog(level: Config['logLevel']): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
}
