import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { parse } from 'dotenv'
import { expect, test } from 'vitest'
import { ConfigError, loadConfig } from './config.ts'
import { isLoopback } from './values.ts'

const KEY = 'k'.repeat(32)

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('without any variable Weaver runs on this machine with the embedded Postgres', () => {
  expect(loadConfig({})).toEqual({
    databaseUrl: null,
    dataDir: resolve('.weaver'),
    host: '127.0.0.1',
    port: 8000,
    apiKey: null,
    allowedIps: null,
    trustedProxies: [],
    corsOrigins: [],
    logLevel: 'info',
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    strategyTimeoutMs: 30_000,
    workers: expect.any(Number),
    risk: {},
    lagLimit: 10_000,
    retentionDays: 30,
    auditDays: null,
    notify: {
      webhook: null,
      telegram: null,
      mail: null,
      kinds: ['fills', 'rejects', 'errors', 'halts', 'mismatches', 'jobs'],
      modes: ['paper', 'live'],
      maxAgeMs: 3_600_000,
      perMinute: 10,
    },
    heartbeatUrl: null,
    marketEvents: 'quotes',
    venues: {},
  })
})

test('every problem is named at once, with the wanted shape', () => {
  expect(
    problemsOf({
      DATABASE_URL: 'mysql://root:hunter2@db/weaver',
      WEAVER_PORT: '70000',
      WEAVER_WORKERS: 'many',
      WEAVER_TIMEZONE: 'Mars/Olympus',
      WEAVER_LOG_LEVEL: 'loud',
      WEAVER_CORS_ORIGINS: 'weaver.example',
      WEAVER_ALLOWED_IPS: '10.0.0.0/33',
    }).toSorted(),
  ).toEqual([
    'DATABASE_URL must look like postgres://user:password@host:5432/database',
    'WEAVER_ALLOWED_IPS must be addresses or networks, like 10.0.0.5,192.168.0.0/16 (it is "10.0.0.0/33")',
    'WEAVER_CORS_ORIGINS must be origins, like https://weaver.example,http://localhost:5173 (it is "weaver.example")',
    'WEAVER_LOG_LEVEL must be debug, info, warn, error or silent (it is "loud")',
    'WEAVER_PORT must be a whole number from 0 to 65535 (it is "70000")',
    'WEAVER_TIMEZONE must be an IANA time zone, like UTC or America/New_York (it is "Mars/Olympus")',
    'WEAVER_WORKERS must be a whole number from 1 to 256 (it is "many")',
  ])
})

test('what is kept for audit is kept at least as long as the rest', () => {
  expect(problemsOf({ WEAVER_AUDIT_DAYS: '29' })).toEqual([
    'WEAVER_AUDIT_DAYS must not be less than WEAVER_RETENTION_DAYS, 30 (it is "29")',
  ])
  expect(loadConfig({ WEAVER_AUDIT_DAYS: '30' }).auditDays).toBe(30)
})

test('the limits of the installation are read as those of a run are', () => {
  const { risk } = loadConfig({
    WEAVER_RISK_MAX_DAILY_LOSS: '250.5',
    WEAVER_RISK_MAX_ORDERS_PER_MINUTE: '30',
    WEAVER_RISK_SYMBOL_ALLOW_LIST: 'BTC/USD, SPY',
  })
  expect(risk).toEqual({ max_daily_loss: 250.5, max_orders_per_minute: 30, symbol_allow_list: ['BTC/USD', 'SPY'] })
})

test('a limit that says nothing or is spelled wrong is a problem', () => {
  const problems = problemsOf({ WEAVER_RISK_MAX_DRAWDOWN: '20', WEAVER_RISK_MAX_LOSS: '5' })
  expect(problems).toEqual([
    expect.stringMatching(/^WEAVER_RISK_MAX_DRAWDOWN is no max_drawdown: .+ \(it is "20"\)$/),
    expect.stringMatching(
      /^WEAVER_RISK_MAX_LOSS is no limit that there is: there are WEAVER_RISK_MAX_ORDER_NOTIONAL, /,
    ),
  ])
})

test('listening beyond this machine is refused without a key', () => {
  expect(problemsOf({ WEAVER_HOST: '0.0.0.0' })).toEqual([
    'WEAVER_API_KEY must be set to listen on 0.0.0.0: without a key Weaver only listens on this machine (127.0.0.1)',
  ])
  expect(problemsOf({ WEAVER_HOST: '0.0.0.0', WEAVER_API_KEY: KEY })).toEqual([])
  expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].map(isLoopback)).toEqual([true, true, true, true])
  expect(['0.0.0.0', '::', '192.168.0.4', 'weaver.example', '128.0.0.1'].map(isLoopback)).not.toContain(true)
})

test('secrets show in no print, json or inspection, nor in a problem', () => {
  const config = loadConfig({ DATABASE_URL: 'postgres://u:hunter2@db/weaver', WEAVER_API_KEY: KEY })
  const shown = `${config.apiKey} ${config.databaseUrl} ${JSON.stringify(config)} ${inspect(config, { depth: 9, showHidden: true })}`
  expect(shown).not.toContain('hunter2')
  expect(shown).not.toContain(KEY)
  expect(shown).toContain('[redacted]')
  expect(config.apiKey?.reveal()).toBe(KEY)
  expect(problemsOf({ WEAVER_API_KEY: 'hunter2' }).join()).toBe('WEAVER_API_KEY must have at least 16 characters')
})

test('the environment wins over .env, and an empty value counts as unset', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weaver-config-'))
  const envFile = join(folder, '.env')
  writeFileSync(envFile, 'WEAVER_PORT=9001\nWEAVER_WORKERS=3\nWEAVER_API_KEY=\n')
  const config = loadConfig({ WEAVER_PORT: '9002', WEAVER_WORKERS: '' }, { envFile })
  expect([config.port, config.workers, config.apiKey]).toEqual([9002, 3, null])
  rmSync(folder, { recursive: true })
  expect(loadConfig({}, { envFile }).port).toBe(8000)
})

test('a configuration cannot be changed after it was read', () => {
  const config = loadConfig({})
  expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError)
})

test('the templates are valid as they are', () => {
  for (const name of ['.env.example', '.env.dev.example']) {
    expect(loadConfig(parse(readFileSync(name)))).toHaveProperty('port', 8000)
  }
})

const NOTIFY = {
  WEAVER_WEBHOOK_URL: 'https://hooks.example.org/services/T000/key-of-the-hook',
  WEAVER_WEBHOOK_SECRET: 'a-secret-of-the-webhook',
  WEAVER_TELEGRAM_BOT_TOKEN: '123456:ABCDEFGHIJKL',
  WEAVER_TELEGRAM_CHAT_ID: '-100',
  WEAVER_SMTP_URL: 'smtps://weaver:mail-password@mail.example.org:465',
  WEAVER_MAIL_FROM: 'weaver@example.org',
  WEAVER_MAIL_TO: 'a@example.org, b@example.org',
}

test('channels are read whole, their addresses and keys as secrets', () => {
  const { notify, heartbeatUrl } = loadConfig({
    ...NOTIFY,
    WEAVER_NOTIFY: 'halts, errors',
    WEAVER_NOTIFY_MODES: 'live',
    WEAVER_HEARTBEAT_URL: 'https://beat.example.org/ping/key-of-the-beat',
  })
  expect(notify).toMatchObject({
    webhook: { host: 'hooks.example.org' },
    telegram: { chatId: '-100', baseUrl: 'https://api.telegram.org' },
    mail: { host: 'mail.example.org:465', from: 'weaver@example.org', to: ['a@example.org', 'b@example.org'] },
    ...{ kinds: ['halts', 'errors'], modes: ['live'] },
  })
  expect(notify.webhook?.url.reveal()).toBe(NOTIFY.WEAVER_WEBHOOK_URL)
  expect(`${inspect(notify, { depth: 9 })} ${JSON.stringify(notify)} ${inspect(heartbeatUrl)}`).not.toMatch(
    /key-of-the|secret-of|ABCDEF|mail-password/,
  )
})

test.each<[Record<string, string>, string[]]>([
  [
    { WEAVER_WEBHOOK_SECRET: 'a-secret-of-the-webhook' },
    ['WEAVER_WEBHOOK_URL must be set when WEAVER_WEBHOOK_SECRET is'],
  ],
  [{ WEAVER_WEBHOOK_URL: 'http://127.0.0.1:9/in' }, []],
  [{ WEAVER_WEBHOOK_URL: 'http://[::1]:9/in' }, []],
  [
    { WEAVER_WEBHOOK_URL: 'https://hooks.example.org/in' },
    [
      'WEAVER_WEBHOOK_SECRET must be set: messages that leave this machine are signed with it (openssl rand -hex 32 makes one)',
    ],
  ],
  [
    { ...NOTIFY, WEAVER_WEBHOOK_URL: 'https://me:word@hooks.example.org/in' },
    ['WEAVER_WEBHOOK_URL must be an address with http:// or https://, without a user or a password'],
  ],
  [{ WEAVER_TELEGRAM_CHAT_ID: '1' }, ['WEAVER_TELEGRAM_BOT_TOKEN must be set when WEAVER_TELEGRAM_CHAT_ID is']],
  [
    { ...NOTIFY, WEAVER_TELEGRAM_BASE_URL: 'http://bot.example.org' },
    ['WEAVER_TELEGRAM_BASE_URL must begin with https://: the token is sent there'],
  ],
  [
    { WEAVER_SMTP_URL: NOTIFY.WEAVER_SMTP_URL },
    ['WEAVER_MAIL_FROM must be set when WEAVER_SMTP_URL is', 'WEAVER_MAIL_TO must be set when WEAVER_SMTP_URL is'],
  ],
  [
    { WEAVER_NOTIFY: 'fills,everything', WEAVER_HEARTBEAT_URL: 'beat' },
    [
      'WEAVER_NOTIFY must be some of fills,rejects,errors,halts,mismatches,jobs (it is "fills,everything")',
      'WEAVER_HEARTBEAT_URL must be an address with http:// or https://, without a user or a password',
    ],
  ],
])('what a channel lacks, or holds too much of, is named: %j', (env, problems) => {
  expect(problemsOf(env)).toEqual(problems)
})
