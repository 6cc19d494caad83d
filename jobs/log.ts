/**
 * Structured logs, one JSON line each, on stderr: stdout belongs to what a command was asked for. Every line carries what
 * its request or job is known by, and no secret.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import pino from 'pino'
import { redactJson } from '../db/secrets.ts'
import type { Config } from './config/config.ts'

export type Log = pino.Logger

/** What lines are found by: correlation_id, job_id, task, run_id, corr_id. */
export type LogContext = Record<string, string | number | null>

const contexts = new AsyncLocalStorage<LogContext>()

/** Every line that is written while `work` goes on, also by what it calls, carries `fields`. */
export function withLogContext<T>(fields: LogContext, work: () => T): T {
  return contexts.run({ ...contexts.getStore(), ...fields }, work)
}

/** What every line says that is written here and now. */
export const logContext = (): LogContext => ({ ...contexts.getStore() })

/** What became known under way: the lines from here on carry it too. */
export function addLogContext(fields: LogContext): void {
  const context = contexts.getStore()
  if (context) Object.assign(context, fields)
}

export interface LogSink {
  write(line: string): unknown
}

export function createLog(level: Config['logLevel'], sink: LogSink = pino.destination({ dest: 2, sync: true })): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: pino.stdSerializers.errWithCause },
      mixin: logContext,
    },
    { write: (line) => void sink.write(`${redactJson(line.trimEnd())}\n`) },
  )
}
