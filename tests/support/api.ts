/** An API on a test's database, with fakes for what only the whole system has. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Api, createApp } from '../../api/app.ts'
import { type ApiDependencies, STREAM_LIMITS } from '../../api/dependencies.ts'
import type { Database } from '../../db/database.ts'
import { logContext, withLogContext } from '../../jobs/log.ts'

export interface LogLine {
  level: string
  fields: Record<string, unknown>
}

export interface TestApi extends Api {
  lines: LogLine[]
  get(path: string, headers?: Record<string, string>): Promise<Response>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
}

const missing = () => Promise.reject(new Error('this test has no such command'))

export function createTestApi(db: Database, changes: Partial<ApiDependencies> = {}): TestApi {
  const lines: LogLine[] = []
  const note = (level: string) => (fields: object) => void lines.push({ level, fields: { ...logContext(), ...fields } })
  const api = createApp({
    db,
    commands: {
      createRun: missing,
      startRun: missing,
      stopRun: missing,
      deleteRun: missing,
      cloneRun: missing,
      retryJob: missing,
      cancelJob: missing,
      pauseJobs: missing,
      resumeJobs: missing,
      requestBand: missing,
      replayRun: missing,
      getParity: missing,
      reconcileAccount: missing,
      acceptPosition: missing,
      cancelOrder: missing,
      closePositions: missing,
      attributePosition: missing,
      splitPosition: missing,
      halt: missing,
      haltByFile: missing,
      resume: missing,
      resumeRun: missing,
      halts: missing,
      fetchCandles: missing,
      cancelCandleFetch: missing,
      importCandles: missing,
    },
    pressHalt: missing,
    trace: missing,
    catalog: { list: async () => ({ items: [], errors: [] }) },
    exchanges: () => [{ exchange: 'sim', modes: ['paper'], configured: ['paper'], problems: [], accounts: [] }],
    readiness: async () => ({ database: { state: 'ok', message: 'answers' } }),
    metrics: async () => '',
    config: {
      apiKey: null,
      hostAllowed: null,
      clientAllowed: null,
      proxyTrusted: null,
      corsOrigins: [],
      timezone: 'UTC',
    },
    version: '1.2.3',
    clock: { now: () => Date.now(), newId: () => randomUUID(), sleep: (ms) => delay(ms) },
    log: { debug: note('debug'), warn: note('warn'), error: note('error') },
    withLogContext,
    stream: { ...STREAM_LIMITS, pollMs: 50 },
    webRoot: new URL('../../web/no-build/', import.meta.url),
    ...changes,
  })
  return {
    ...api,
    lines,
    get: async (path, headers = {}) => api.app.request(path, { headers }),
    post: async (path, body, headers = {}) =>
      api.app.request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
  }
}
