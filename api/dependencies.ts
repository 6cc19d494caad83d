/** What the HTTP face stands on. The entry file puts it together; tests put in fakes. */
import type { Database } from '../db/database.ts'
import type { OrderTrace } from '../db/walle/queries/trace.ts'
import type { AccountCommands } from '../jobs/glados/account_commands.ts'
import type { CandleFetchCommands } from '../jobs/glados/candle_fetches.ts'
import type { CloseCommands } from '../jobs/glados/close_commands.ts'
import type { CommandContext, RunCommands } from '../jobs/glados/commands.ts'
import type { HaltCommands, HaltRequest } from '../jobs/glados/halt_commands.ts'
import type { Pressed } from '../jobs/glados/halts/press.ts'
import type { ImportReport, ImportRequest } from '../jobs/glados/import_candles.ts'
import type { JobCommands } from '../jobs/glados/job_commands.ts'
import type { OrderCommands } from '../jobs/glados/order_commands.ts'
import type { ParityCommands } from '../jobs/glados/parity_commands.ts'

export interface ApiCommands
  extends RunCommands,
    JobCommands,
    AccountCommands,
    OrderCommands,
    CloseCommands,
    HaltCommands,
    CandleFetchCommands,
    ParityCommands {
  importCandles(request: ImportRequest, context: CommandContext): Promise<ImportReport>
}

export interface StrategyEntry {
  id: string
  version: string
  description: string
  /** JSON schema. */
  params_schema: unknown
  /** Of its file, relative to strategies/. */
  path: string
}

export interface ApiCatalog {
  list(): Promise<{ items: StrategyEntry[]; errors: { path: string; message: string }[] }>
}

export interface Check {
  /** degraded: Weaver works, and somebody should look; failing: it does not. */
  state: 'ok' | 'degraded' | 'failing'
  /** What was found, and what to do when it is not well. */
  message: string
}

/** By name: what was looked at. */
export type Readiness = Record<string, Check>

export interface ApiConfig {
  apiKey: { reveal(): string } | null
  /** Names that a request may call this host by; null: any. On loopback this stops DNS rebinding. */
  hostAllowed: ((name: string) => boolean) | null
  /** Null: any address. */
  clientAllowed: ((address: string) => boolean) | null
  /** Of a proxy: what it says of who asks is taken for true; null: of none. */
  proxyTrusted: ((address: string) => boolean) | null
  corsOrigins: readonly string[]
  /** IANA name; in which times without a zone are read. */
  timezone: string
}

export interface ApiLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Every line of the log that is written during `work` carries the fields. */
export type WithLogContext = <T>(fields: Record<string, string>, work: () => T) => T

export interface StreamLimits {
  heartbeatMs: number
  /** Longest wait for a notification before the log is looked at anyway. */
  pollMs: number
  /** A client that takes nothing for so long is cut off. */
  stallMs: number
  clients: number
}

export const STREAM_LIMITS: StreamLimits = { heartbeatMs: 15_000, pollMs: 500, stallMs: 10_000, clients: 1_000 }

/** A venue's adapter as it was found, never with a secret. */
export interface ApiExchange {
  exchange: string
  modes: readonly string[]
  /** The modes that it has what it needs for. */
  configured: readonly string[]
  problems: readonly string[]
  /** Where orders go, of each configured mode. */
  accounts: readonly { mode: string; host: string | null; custom_host: boolean }[]
}

export interface ApiDependencies {
  db: Pick<Database, 'reader' | 'listen'>
  commands: ApiCommands
  /** The kill switch, which does what it can without the database and without workers. */
  pressHalt(request: HaltRequest, context: CommandContext): Promise<Pressed>
  catalog: ApiCatalog
  exchanges: () => readonly ApiExchange[]
  /** An order's causal chain, by its id or client_order_id; throws a DomainError that says why there is none. */
  trace(order: string): Promise<OrderTrace>
  readiness(): Promise<Readiness>
  /** Of the whole system, in Prometheus' text format. Never rejects. */
  metrics(): Promise<string>
  config: ApiConfig
  version: string
  clock: { now(): number; newId(): string; sleep(ms: number): Promise<void> }
  log: ApiLog
  withLogContext: WithLogContext
  stream: StreamLimits
  /** Haro's built files. */
  webRoot: URL
}
