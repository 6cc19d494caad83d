/**
 * Configuration: the environment and `.env` (the environment wins), read once, checked once, frozen. Every problem is
 * named at once, never with the value of a secret.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parse } from 'dotenv'
import { z } from 'zod'
import { Secret } from '../../db/secrets.ts'
import type { RiskLimits } from '../glados/risk.ts'
import {
  NOTIFY_SECRETS,
  type NotifyConfig,
  type NotifyVariables,
  notifyOf,
  notifyProblems,
  notifyVariables,
} from '../notify/config.ts'
import { MARKET_DETAILS, type MarketDetail } from '../veda/marks.ts'
import { adapterIds, type VenueSettings, variablePrefix } from '../veda/venues/venues.ts'
import { riskOf, riskVariables, unknownLimits } from './risk.ts'
import { isLoopback, list, secret, whole } from './values.ts'

export interface Config {
  /** Null: the embedded Postgres of the data directory. */
  databaseUrl: Secret | null
  /** Absolute. */
  dataDir: string
  host: string
  port: number
  apiKey: Secret | null
  /** Addresses and networks that may call the API; null: any. */
  allowedIps: readonly string[] | null
  /** Addresses and networks of proxies whose word is taken for who asks. */
  trustedProxies: readonly string[]
  corsOrigins: readonly string[]
  logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** IANA name; in which times without a zone are read. */
  timezone: string
  strategyTimeoutMs: number
  /** Backtest processes. */
  workers: number
  /** For runs that have no limit of their own. */
  risk: RiskLimits
  /** Events that a consumer of the log may be behind before backtests and imports wait for it. */
  lagLimit: number
  /** Days after which events leave the log, and those kept for audit; null: these never. */
  retentionDays: number
  auditDays: number | null
  /** Messages to people and programs outside. */
  notify: NotifyConfig
  /** Called each minute while Weaver is well. */
  heartbeatUrl: Secret | null
  /** How much of the market between ticks is followed, and sampled into the log. */
  marketEvents: MarketDetail
  /** What adapters of venues read: variables that begin with an adapter's name. */
  venues: VenueSettings
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(['the configuration has problems (environment or .env):', ...problems.map((each) => `  ${each}`)].join('\n'))
    this.problems = problems
  }
}

const LONGEST_STRATEGY_TIMEOUT_MS = 3_600_000
const MOST_WORKERS = 256
const LONGEST_LAG = 100_000_000
const MOST_DAYS = 36_500
const SHORTEST_API_KEY = 16
const systemTimezone = Intl.DateTimeFormat().resolvedOptions().timeZone

function isPostgresUrl(text: string): boolean {
  return URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)
}

function isTimezone(name: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

function isNetwork(text: string): boolean {
  const [address = '', bits, more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more !== undefined) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text
}

const variables = z.object({
  DATABASE_URL: secret(
    z.string().refine(isPostgresUrl, 'must look like postgres://user:password@host:5432/database'),
  ).optional(),
  WEAVER_DATA_DIR: z.string().default('.weaver'),
  WEAVER_HOST: z.string().default('127.0.0.1'),
  WEAVER_PORT: whole(0, 65_535).default(8000),
  WEAVER_API_KEY: secret(
    z.string().min(SHORTEST_API_KEY, `must have at least ${SHORTEST_API_KEY} characters`),
  ).optional(),
  WEAVER_ALLOWED_IPS: list(isNetwork, 'must be addresses or networks, like 10.0.0.5,192.168.0.0/16').optional(),
  WEAVER_TRUSTED_PROXIES: list(isNetwork, 'must be addresses or networks, like 127.0.0.1,172.16.0.0/12').default([]),
  WEAVER_CORS_ORIGINS: list(isOrigin, 'must be origins, like https://weaver.example,http://localhost:5173').default([]),
  WEAVER_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'], 'must be debug, info, warn, error or silent')
    .default('info'),
  WEAVER_TIMEZONE: z
    .string()
    .refine(isTimezone, 'must be an IANA time zone, like UTC or America/New_York')
    .default(systemTimezone),
  WEAVER_STRATEGY_TIMEOUT_MS: whole(100, LONGEST_STRATEGY_TIMEOUT_MS).default(30_000),
  WEAVER_WORKERS: whole(1, MOST_WORKERS).optional(),
  ...riskVariables,
  WEAVER_LAG_LIMIT: whole(1, LONGEST_LAG).default(10_000),
  WEAVER_RETENTION_DAYS: whole(1, MOST_DAYS).default(30),
  WEAVER_AUDIT_DAYS: whole(1, MOST_DAYS).optional(),
  WEAVER_MARKET_EVENTS: z.enum(MARKET_DETAILS, `must be ${MARKET_DETAILS.join(', ')}`).default('quotes'),
  ...notifyVariables,
})

const SECRETS = new Set<string>(['DATABASE_URL', 'WEAVER_API_KEY', ...NOTIFY_SECRETS])

function readEnvFile(path: string): Record<string, string> {
  try {
    return parse(readFileSync(path))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new ConfigError([`${path} cannot be read: ${error instanceof Error ? error.message : error}`])
  }
}

/** An empty value counts as unset: that is how templates and compose files leave things out. */
function collect(...sources: Record<string, string | undefined>[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of Object.keys(variables.shape)) {
    const value = sources.map((source) => source[name]?.trim()).find((text) => text !== undefined && text !== '')
    if (value !== undefined) found[name] = value
  }
  return found
}

const SECRET_NAME = /(KEY|SECRET|TOKEN|PASSWORD)(_ID)?$/

/** Each adapter says for itself what it makes of them. */
function venueSettings(...sources: Record<string, string | undefined>[]): VenueSettings {
  const prefixes = adapterIds().map(variablePrefix)
  const names = new Set(sources.flatMap((source) => Object.keys(source)))
  const found: Record<string, string | Secret> = {}
  for (const name of names) {
    if (!prefixes.some((prefix) => name.startsWith(prefix))) continue
    const value = sources.map((source) => source[name]?.trim()).find((text) => text !== undefined && text !== '')
    if (value !== undefined) found[name] = SECRET_NAME.test(name) ? new Secret(value) : value
  }
  return Object.freeze(found)
}

function problemsOf(error: z.ZodError, given: Record<string, string>): string[] {
  return error.issues.map((issue) => {
    const name = String(issue.path[0])
    return `${name} ${issue.message}${SECRETS.has(name) ? '' : ` (it is ${JSON.stringify(given[name])})`}`
  })
}

interface Sources {
  envFile?: string
}

export function loadConfig(env: Record<string, string | undefined>, { envFile }: Sources = {}): Config {
  const file = envFile === undefined ? {} : readEnvFile(envFile)
  const { given, data, problems } = examine(env, file)
  if (problems.length > 0) throw new ConfigError(problems)
  return configOf(data ?? variables.parse(given), venueSettings(env, file))
}

/**
 * What can be made of it, for the kill switch: whatever is wrong is left out, and told. An address of the database that is wrong
 * stays, so that nobody takes another database for it.
 */
export function loadConfigAnyway(
  env: Record<string, string | undefined>,
  { envFile }: Sources = {},
): { config: Config; problems: readonly string[] } {
  const unread: string[] = []
  let file: Record<string, string> = {}
  try {
    if (envFile !== undefined) file = readEnvFile(envFile)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    unread.push(...error.problems)
  }
  const { given, wrong, problems } = examine(env, file)
  const right = Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.includes(name)))
  const config = configOf(variables.parse(right), venueSettings(env, file))
  const databaseUrl = given.DATABASE_URL === undefined ? null : new Secret(given.DATABASE_URL)
  return { config: Object.freeze({ ...config, databaseUrl }), problems: [...unread, ...problems] }
}

/** `data`: null where a variable is wrong, by `wrong`; problems may be of several together. */
function examine(env: Record<string, string | undefined>, file: Record<string, string>) {
  const given = collect(env, file)
  const parsed = variables.safeParse(given)
  const problems = parsed.success ? [] : problemsOf(parsed.error, given)
  problems.push(...unknownLimits(Object.keys({ ...file, ...env })), ...notifyProblems(given))
  const host = given.WEAVER_HOST
  if (host !== undefined && !isLoopback(host) && given.WEAVER_API_KEY === undefined) {
    problems.push(
      `WEAVER_API_KEY must be set to listen on ${host}: without a key Weaver only listens on this machine (127.0.0.1)`,
    )
  }
  const audit = parsed.data?.WEAVER_AUDIT_DAYS
  if (parsed.success && audit !== undefined && audit < parsed.data.WEAVER_RETENTION_DAYS) {
    problems.push(
      `WEAVER_AUDIT_DAYS must not be less than WEAVER_RETENTION_DAYS, ${parsed.data.WEAVER_RETENTION_DAYS} (it is "${audit}")`,
    )
  }
  const wrong = parsed.success ? [] : parsed.error.issues.map((issue) => String(issue.path[0]))
  return { given, data: parsed.data ?? null, wrong, problems }
}

function configOf(data: z.infer<typeof variables>, venues: VenueSettings): Config {
  return Object.freeze({
    databaseUrl: data.DATABASE_URL ?? null,
    dataDir: resolve(data.WEAVER_DATA_DIR),
    host: data.WEAVER_HOST,
    port: data.WEAVER_PORT,
    apiKey: data.WEAVER_API_KEY ?? null,
    allowedIps: data.WEAVER_ALLOWED_IPS === undefined ? null : Object.freeze(data.WEAVER_ALLOWED_IPS),
    trustedProxies: Object.freeze(data.WEAVER_TRUSTED_PROXIES),
    corsOrigins: Object.freeze(data.WEAVER_CORS_ORIGINS),
    logLevel: data.WEAVER_LOG_LEVEL,
    timezone: data.WEAVER_TIMEZONE,
    strategyTimeoutMs: data.WEAVER_STRATEGY_TIMEOUT_MS,
    workers: data.WEAVER_WORKERS ?? availableParallelism(),
    risk: riskOf(data),
    lagLimit: data.WEAVER_LAG_LIMIT,
    retentionDays: data.WEAVER_RETENTION_DAYS,
    auditDays: data.WEAVER_AUDIT_DAYS ?? null,
    notify: notifyOf(data as NotifyVariables),
    heartbeatUrl: data.WEAVER_HEARTBEAT_URL ?? null,
    marketEvents: data.WEAVER_MARKET_EVENTS,
    venues,
  })
}
