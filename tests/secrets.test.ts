/** I13: no secret leaves, by whatever way there is out of a Weaver process. Canaries stand for the secrets. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectOwner, openDatabase } from '../db/client.ts'
import { protect } from '../db/secrets.ts'
import { createMigratedDatabase } from './support/database.ts'
import { openInProcess } from './support/in_process.ts'
import { type Received, type Receiver, startReceiver } from './support/receiver.ts'
import { until } from './support/until.ts'
import { freePort, launchWeaver, type WeaverProcess } from './support/weaver_process.ts'

const PASSWORD = 'ca.na+ry$(1)[x]{2}%25|^é&"pass'
const KEY = 'canary-key.*+?$1-0123456789'
const WRONG = 'canary-wrong-password-42'
const OUTSIDE = {
  WEAVER_WEBHOOK_SECRET: 'canary-webhook-secret-01',
  WEAVER_TELEGRAM_BOT_TOKEN: '987654:canary-telegram-token-02',
  smtp: 'canary-smtp-password-03',
  path: '/in/canary-webhook-path-04',
  heartbeat: '/ping/canary-heartbeat-05',
}

const spellings = [PASSWORD, KEY, WRONG, ...Object.values(OUTSIDE)].flatMap((text) => [
  text,
  encodeURIComponent(text),
  JSON.stringify(text).slice(1, -1),
  Buffer.from(text).toString('base64').slice(0, -4),
  Buffer.from(text).toString('hex'),
])

function expectClean(what: string, text: string): void {
  const found = spellings.filter((spelling) => text.includes(spelling))
  expect({ what, found }).toEqual({ what, found: [] })
}

let database: Awaited<ReturnType<typeof createMigratedDatabase>>
let env: Record<string, string>
let url: string
let weaver: WeaverProcess
let receiver: Receiver
/** Says no at once, in words that hold what it knows of whoever comes. */
const mailServer = createServer((socket) => {
  socket.on('error', () => {})
  socket.end(`554 no to ${OUTSIDE.smtp}\r\n`)
})
const role = `weaver_canary_${randomUUID().slice(0, 8)}`

async function asOwner(text: string): Promise<void> {
  const client = await connectOwner({ url: database.url, applicationName: 'owner' })
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

const withPassword = (password: string): string => {
  const changed = new URL(database.url)
  changed.username = role
  changed.password = encodeURIComponent(password)
  return changed.href
}

beforeAll(async () => {
  database = await createMigratedDatabase()
  await asOwner(`create role ${role} superuser login password '${PASSWORD}'`)
  const dataDir = await mkdtemp(join(tmpdir(), 'weaver-secrets-'))
  const port = await freePort()
  receiver = await startReceiver()
  await new Promise<void>((resolve) => mailServer.listen(0, '127.0.0.1', resolve))
  // Whoever is told anything refuses it, in words that hold all that was told.
  receiver.answers.push(
    ...Array(500).fill(({ path, headers }: Received) => ({
      status: 400,
      body: `no to ${path} ${JSON.stringify(headers)} ${Object.values(OUTSIDE).join(' ')}`,
    })),
  )
  url = `http://127.0.0.1:${port}`
  env = {
    DATABASE_URL: withPassword(PASSWORD),
    WEAVER_API_KEY: KEY,
    WEAVER_DATA_DIR: dataDir,
    WEAVER_PORT: String(port),
    WEAVER_LOG_LEVEL: 'debug',
    WEAVER_WEBHOOK_URL: `${receiver.url}${OUTSIDE.path}`,
    WEAVER_WEBHOOK_SECRET: OUTSIDE.WEAVER_WEBHOOK_SECRET,
    WEAVER_TELEGRAM_BOT_TOKEN: OUTSIDE.WEAVER_TELEGRAM_BOT_TOKEN,
    WEAVER_TELEGRAM_CHAT_ID: '1',
    WEAVER_TELEGRAM_BASE_URL: receiver.url,
    WEAVER_SMTP_URL: `smtp://weaver:${OUTSIDE.smtp}@127.0.0.1:${(mailServer.address() as AddressInfo).port}`,
    WEAVER_MAIL_FROM: 'a@example.org',
    WEAVER_MAIL_TO: 'b@example.org',
    WEAVER_HEARTBEAT_URL: `${receiver.url}${OUTSIDE.heartbeat}`,
    WEAVER_WORKERS: '1',
  }
  weaver = launchWeaver('start', env)
  await weaver.ready
}, 60_000)

afterAll(async () => {
  await weaver.end('SIGTERM')
  await receiver.close()
  mailServer.close()
  await rm(String(env.WEAVER_DATA_DIR), { recursive: true, force: true })
  await asOwner(`drop owned by ${role} cascade`)
  await database.drop()
})

async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const headers = { 'x-api-key': KEY, 'content-type': 'application/json', ...init.headers }
  const answer = await fetch(`${url}${path}`, { ...init, headers })
  return { status: answer.status, text: `${JSON.stringify([...answer.headers])} ${await answer.text()}` }
}

test('no answer of the API shows one, and no line of its log, also when Postgres itself says it', async () => {
  for (const path of ['/api/v1/info', '/metrics', '/readyz', '/openapi.json', '/api/v1/strategies', `/api/v1/${KEY}`]) {
    expectClean(path, (await ask(path)).text)
  }
  expectClean('a refusal', (await ask('/api/v1/runs', { headers: { 'x-api-key': `${KEY}x` } })).text)
  expectClean('a body', (await ask('/api/v1/runs', { method: 'POST', body: JSON.stringify({ [KEY]: KEY }) })).text)
  const session = await ask('/api/v1/session', { method: 'POST', body: JSON.stringify({ key: KEY }) })
  expectClean('the session', session.text)

  const told = `password=${PASSWORD} of ${env.DATABASE_URL} and ${KEY}`.replaceAll("'", "''")
  await asOwner(`create function public.tell() returns trigger language plpgsql as $f$ begin
      raise exception using message = $m$${told}$m$, detail = $m$${told}$m$, hint = $m$${KEY}$m$; end $f$;
    create trigger tell before update on weaver.runs for each row execute function public.tell()`)
  const id = randomUUID()
  await asOwner(`insert into weaver.strategy_sources (hash, strategy_id, version, entry, files)
      values ('hash', 'idle', '1', 'idle.ts', '{}');
    insert into weaver.runs (id, strategy_id, strategy_version, strategy_hash, mode, status, symbols, timeframe, config,
      initial_cash, fill, audit, driver, seed, weaver_version, window_bars)
    values ('${id}', 'idle', '1', 'hash', 'backtest', 'pending', '{DEMO/USD}', '1m', '{}', 100000, '{}', 'full', 'chain', 0,
      'test', 1)`)
  const failed = await ask(`/api/v1/runs/${id}/start`, { method: 'POST' })
  expect(failed.status).toBe(500)
  expectClean('an internal error', failed.text)
  await until('the log of it', async () => weaver.output().includes('a request failed'))
  const line =
    weaver
      .output()
      .split('\n')
      .find((text) => text.includes('a request failed')) ?? ''
  expect(JSON.parse(line)).toMatchObject({ run_id: id, err: { message: expect.stringContaining('[redacted]') } })
  await asOwner('drop trigger tell on weaver.runs; drop function public.tell()')
})

test('a job that fails leaves its error behind without them: in its history, its queue and its events', async () => {
  const told = `of ${env.DATABASE_URL} and ${KEY}`
  await asOwner(`create function public.tell() returns trigger language plpgsql as $f$ begin
      raise exception using message = $m$${told}$m$; end $f$;
    create trigger tell before insert on weaver.run_checkpoints for each row execute function public.tell();
    create trigger tell before update on weaver.runs for each row execute function public.tell()`)
  const id = randomUUID()
  await asOwner(`insert into weaver.strategy_sources (hash, strategy_id, version, entry, files)
      values ('hash', 'idle', '1', 'idle.ts', '{}') on conflict do nothing;
    insert into weaver.runs (id, strategy_id, strategy_version, strategy_hash, mode, status, symbols, timeframe, config,
      initial_cash, fill, audit, driver, seed, weaver_version, window_bars)
    values ('${id}', 'idle', '1', 'hash', 'backtest', 'running', '{DEMO/USD}', '1m', '{}', 100000, '{}', 'full', 'chunk', 0,
      'test', 1);
    select weaver.enqueue('[{"task": "greta.start_run", "payload": {"run_id": "${id}"}}]')`)
  const client = await connectOwner({ url: database.url, applicationName: 'owner' })
  const stored = async () => {
    const { rows } = await client.query<{ text: string }>(`select
      (select coalesce(json_agg(r), '[]') from weaver.job_runs r where r.run_id = '${id}')::text ||
      (select coalesce(json_agg(j), '[]') from graphile_worker._private_jobs j)::text ||
      (select coalesce(json_agg(o), '[]') from weaver.outbox o)::text ||
      (select coalesce(json_agg(d), '[]') from weaver.job_dead_letters d)::text as text`)
    return rows[0]?.text ?? ''
  }
  await until('the failure', async () => (await stored()).includes('[redacted]'))
  expectClean('what is stored', await stored())
  await client.end()
  await asOwner('drop function public.tell() cascade')
})

test('those who are told outside get them, and what comes back from there holds none', async () => {
  await ask('/api/v1/system/halt', { method: 'POST', body: '{}' })
  const client = await connectOwner({ url: database.url, applicationName: 'owner' })
  const { rows } = await until('failures on each channel', async () => {
    const found = await client.query<{ channel: string; last_error: string; row: string }>(
      'select channel, last_error, n::text as row from weaver.notifications n where last_error is not null order by channel',
    )
    return new Set(found.rows.map(({ channel }) => channel)).size === 3 ? found : null
  })
  const beat = await until('the heartbeat', async () => {
    const found = await client.query<{ problem: string }>('select problem from weaver.heartbeats')
    return found.rows[0]?.problem
  })
  await client.end()
  expect(receiver.received.map(({ path }) => path)).toContain(OUTSIDE.path)
  expect(receiver.received.map(({ path }) => path)).toContain(`/bot${OUTSIDE.WEAVER_TELEGRAM_BOT_TOKEN}/sendMessage`)
  for (const { row, last_error } of rows) {
    expect(last_error).toMatch(/^(webhook|telegram|mail): /)
    expectClean('what is stored', row)
  }
  expect(rows.find(({ channel }) => channel === 'webhook')?.last_error).toContain('answered 400: no to [redacted]')
  expectClean('the heartbeat', beat)
  for (const path of ['/readyz', '/metrics', '/api/v1/jobs']) expectClean(path, (await ask(path)).text)
  await ask('/api/v1/system/resume', { method: 'POST' })
})

test('no process shows one to others: not in its arguments, and strategies have none in their environment', async () => {
  await ask('/api/v1/strategies')
  const pids = (await readdir('/proc').catch(() => [])).filter(
    (name) => /^\d+$/.test(name) && Number(name) !== process.pid,
  )
  const read = (pid: string, file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
  let hosts = 0
  for (const pid of pids) {
    const line = await read(pid, 'cmdline')
    expectClean(`the arguments of ${line}`, line)
    if (!/jobs\/hosts\/main\.ts/.test(line)) continue
    hosts += 1
    expectClean('the environment of a strategy process', await read(pid, 'environ'))
  }
  if (process.platform === 'linux') expect(hosts).toBeGreaterThan(0)
})

test('no command prints one, with the right password or the wrong one', async () => {
  const run = (args: string[], changes: Record<string, string>) =>
    new Promise<string>((resolve) => {
      const entry = new URL('../weaver.ts', import.meta.url).pathname
      const runtime = process.versions.deno ? ['run', '-A'] : []
      const settings = { env: { ...process.env, ...env, ...changes } }
      execFile(process.execPath, [...runtime, entry, ...args], settings, (_error, out, err) =>
        resolve(`${out}\n${err}`),
      )
    })
  const wrong = { DATABASE_URL: withPassword(WRONG) }
  const printed = await Promise.all([
    run(['doctor'], {}),
    run(['doctor'], wrong),
    run(['notify', 'test'], {}),
    run(['runs'], wrong),
    run(['runs'], { WEAVER_WEBHOOK_URL: `ftp://${KEY}`, WEAVER_PORT: KEY, DATABASE_URL: `mysql://u:${KEY}@h/d` }),
  ])
  for (const text of printed) expectClean('what is printed', text)
  expect(printed[0]).toContain('configuration')
  expect(printed[2]).toContain('FAIL  webhook: answered 400')
  expect(printed[2]).toContain('FAIL  mail: ')
  for (const name of ['WEAVER_WEBHOOK_URL', 'WEAVER_PORT', 'DATABASE_URL']) expect(printed[4]).toContain(name)
})

test("Postgres' refusal of a wrong password tells none", async () => {
  protect(withPassword(WRONG))
  const failure = await openDatabase({ url: withPassword(WRONG), applicationName: 'weaver test' }).catch(
    (error: Error) => error,
  )
  expectClean('the error', `${failure} ${(failure as Error).stack} ${String((failure as Error).cause)}`)
})

test('an error of a strategy that carries one reaches neither the run, nor its events', async () => {
  const leaky = `import { defineStrategy, z } from '../api.ts'
    export default defineStrategy({ id: 'leaky', version: '1', description: 'Tells.', params: z.object({}),
      window: () => ({ bars: 1 }), onWindow() { throw new Error(${JSON.stringify(`cannot reach ${withPassword(PASSWORD)} with ${KEY}`)}) } })`
  const inside = await openInProcess({ 'leaky/index.ts': leaky }, { WEAVER_API_KEY: KEY })
  try {
    protect(withPassword(PASSWORD))
    const time = Float64Array.from({ length: 3 }, (_, bar) => Date.UTC(2024, 0, 1) + bar * 3_600_000)
    const flat = new Float64Array(3).fill(100)
    const columns = { time, open: flat, high: flat, low: flat, close: flat, volume: flat }
    await inside.store('DEMO/USD', '1h', columns)
    const run = await inside.backtest({ strategy_id: 'leaky', symbols: ['DEMO/USD'], timeframe: '1h' }, columns)
    expect(run.error?.message).toBe('Error: cannot reach [redacted] with [redacted]')
    expectClean('the run', JSON.stringify(run))
    const events = await inside.system.db.reader.query('select payload from weaver.outbox')
    expectClean('the events', JSON.stringify(events))
  } finally {
    await inside.close()
  }
})

test('all that was printed since the start is clean', () => {
  expect(weaver.output().length).toBeGreaterThan(1_000)
  expectClean('the output', weaver.output())
})
