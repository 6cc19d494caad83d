/**
 * The command line under bad input: what is wrong is named, the exit code says it, and nothing is stored. In this process, but for
 * what is to run on its own.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { runCli } from '../../jobs/cli/main.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/weaver_process.ts'

const ENTRY = new URL('../../weaver.ts', import.meta.url).pathname
const HEADER = 'timestamp,open,high,low,close,volume'
const SYMBOL = ['--symbol', 'BTC/USD', '--timeframe', '1h']

let database: TestDatabase
let home: string
beforeAll(async () => {
  database = await createTestDatabase()
  home = await mkdtemp(join(tmpdir(), 'weaver-cli-'))
  const bars = ['00', '01', '02', '05'].map((hour) => `2024-01-01T${hour}:00:00Z,100,101,99,100,10`)
  await writeFile(join(home, 'good.csv'), [HEADER, ...bars].join('\n'))
  await writeFile(join(home, 'bad.csv'), `${HEADER}\n2024-01-01T00:00:00Z,1,1,1,1,1\nnonsense,1,1,1,1,1\n`)
  await writeFile(join(home, 'header.csv'), 'time,open,high,low,close,volume\n')
  await writeFile(join(home, 'empty.csv'), '')
  expect(await weaver('import', file('good.csv'), ...SYMBOL)).toMatchObject({ code: 0 })
}, 60_000)
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})
afterAll(async () => {
  await database?.drop()
  await rm(home, { recursive: true, force: true })
})

const file = (name: string): string => join(home, name)

interface Ended {
  code: number | null
  out: string
  err: string
}

const settings = () => ({
  DATABASE_URL: database.url,
  WEAVER_DATA_DIR: join(home, 'data'),
  WEAVER_LOG_LEVEL: 'error',
  WEAVER_WORKERS: '1',
})

function weaver(...args: string[]): Promise<Ended> {
  return weaverWith({}, ...args)
}

async function weaverWith(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  for (const [name, value] of Object.entries({ ...settings(), ...env })) vi.stubEnv(name, value)
  const ended = { out: '', err: '' }
  for (const [stream, name] of [
    [process.stdout, 'out'],
    [process.stderr, 'err'],
  ] as const) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      ended[name] += text
      return true
    })
  }
  const code = await runCli(args)
  vi.restoreAllMocks()
  return { code, ...ended }
}

function launched(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    env: { PATH: process.env.PATH, HOME: home, ...settings(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = { out: '', err: '' }
  child.stdout.on('data', (text) => {
    ended.out += text
  })
  child.stderr.on('data', (text) => {
    ended.err += text
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...ended })))
}

async function stored() {
  const [row] = await database.db.reader.query<{ runs: number; candles: number; events: number }>(
    `select (select count(*) from weaver.runs) as runs, (select count(*) from weaver.candles) as candles,
       (select count(*) from weaver.outbox) as events`,
  )
  return row
}

const IMPORTS: [args: string[], code: number, says: string][] = [
  [['absent.csv'], 1, 'there is no such file'],
  [['.'], 1, 'it is not a file'],
  [['empty.csv'], 1, 'but it is missing'],
  [['header.csv'], 1, 'the header must be timestamp,open,high,low,close,volume[,trade_count], but it is time,'],
  [['bad.csv', '--strict'], 1, 'nothing was stored, 1 rows are bad: line 3: timestamp "nonsense"'],
]

test('in a process of its own: the exit code, what is said on stderr, and nothing on stdout', async () => {
  const ended = await launched({}, 'import', file('absent.csv'), ...SYMBOL)
  expect(ended).toMatchObject({ code: 1, out: '' })
  expect(ended.err).toContain('there is no such file')
})

test.each(IMPORTS)('import %j ends with %i and stores nothing', async ([name = '', ...more], code, says) => {
  const before = await stored()
  const ended = await weaver('import', file(name), ...SYMBOL, ...more)
  expect(ended).toMatchObject({ code, out: '' })
  expect(ended.err).toContain(says)
  expect(await stored()).toEqual(before)
})

const BACKTESTS: [args: string[], code: number, says: string][] = [
  [['nope', ...SYMBOL], 1, 'there is no strategy nope: known are bollinger_limit, '],
  [['sma_cross', ...SYMBOL, '--param', 'fast=0'], 1, 'config.fast: Too small: expected number to be >=1'],
  [['sma_cross', ...SYMBOL, '--param', 'fsat=3'], 1, 'sma_cross has no parameter fsat: it has fast, slow, qty'],
  [['sma_cross', ...SYMBOL, '--param', 'fast'], 2, 'must have the form name=value'],
  [['sma_cross', '--symbol', '', '--timeframe', '1h'], 1, 'a run needs at least one symbol'],
  [['sma_cross', '--symbol', 'NO/NE', '--timeframe', '1h'], 1, 'there are no 1h candles of NO/NE: import some with'],
  [['sma_cross', '--symbol', 'BTC/USD', '--timeframe', '2h'], 2, 'Allowed choices are 1m, 5m, 15m, 30m, 1h, 4h, 1d'],
  [['sma_cross', ...SYMBOL, '--start', '2024-02-30T00:00Z'], 2, '--start 2024-02-30T00:00Z is not a time'],
  [
    ['sma_cross', ...SYMBOL, '--start', '2025-01-01T00:00Z', '--end', '2024-01-01T00:00Z'],
    1,
    'start_time 2025-01-01T00:00:00.000Z is after end_time',
  ],
  [
    ['sma_cross', ...SYMBOL, '--start', '2024-01-01T03:10Z', '--end', '2024-01-01T05:50Z'],
    1,
    'no 1h candle of BTC/USD',
  ],
  [['sma_cross', ...SYMBOL, '--cash=-5'], 1, 'initial_cash -5 is not a plain positive number'],
  [['sma_cross', ...SYMBOL, `--cash=${10 ** 20}`], 1, 'is not a plain positive number'],
  [['sma_cross', ...SYMBOL, '--fill', 'preset=nope'], 1, 'fill.preset: Invalid option'],
  [['sma_cross', ...SYMBOL, '--fill', 'slippage_bps=10000'], 1, 'fill.slippage_bps: must be below 10000'],
]

test.each(BACKTESTS)('backtest %j ends with %i and makes no run', async (args, code, says) => {
  const before = await stored()
  const ended = await weaver('backtest', ...args, '--json')
  expect(ended).toMatchObject({ code, out: '' })
  expect(ended.err).toContain(says)
  expect(await stored()).toEqual(before)
})

const AUDITS: [args: string[], code: number, says: string][] = [
  [['audit', 'nope', ...SYMBOL], 1, 'there is no strategy nope: known are bollinger_limit, '],
  [['audit', 'sma_cross', '--symbol', '', '--timeframe', '1h'], 1, 'a run needs at least one symbol'],
  [['audit', 'sma_cross', '--symbol', 'NO/NE', '--timeframe', '1h'], 1, 'no 1h candle of NO/NE closes in the range'],
  [['audit', 'sma_cross', ...SYMBOL, '--cuts', '0'], 2, '--cuts must be a whole number from 1 to 1000'],
  [['audit', 'sma_cross', ...SYMBOL, '--seed', 'x'], 2, '--seed must be a whole number'],
  [['audit', 'sma_cross', ...SYMBOL, '--fill', 'commission=none'], 1, 'fill.commission: Invalid option'],
  [['strategy', 'new', 'My-Strategy'], 2, '"My-Strategy" is no name for a strategy: use lower-case letters'],
  [['strategy', 'new', 'sma_cross'], 1, 'there is a strategy sma_cross already: '],
]

test.each(AUDITS)('%j ends with %i and leaves nothing behind', async (args, code, says) => {
  const before = await stored()
  const ended = await weaver(...args)
  expect(ended).toMatchObject({ code, out: '' })
  expect(ended.err).toContain(says)
  expect(await stored()).toEqual(before)
})

test('an audit of a sound strategy ends with 0, stores nothing and tells what it tried', async () => {
  const before = await stored()
  const { code, out } = await weaver('audit', 'buy_and_hold', ...SYMBOL, '--cuts', '1', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ strategy_id: 'buy_and_hold', ticks: 4, verdict: 'clean', failure: null })
  expect(await stored()).toEqual(before)
})

const PASSWORD = 'S3cret-Pass'

test('a database that does not answer is named, its password is not', async () => {
  const port = await freePort()
  const ended = await launched({ DATABASE_URL: `postgres://u:${PASSWORD}@127.0.0.1:${port}/weaver` }, 'runs')
  expect(ended).toMatchObject({ code: 1, out: '' })
  expect(ended.err).toContain(`cannot use the Postgres at 127.0.0.1:${port}/weaver: connect ECONNREFUSED`)
  expect(ended.err).toContain('correct DATABASE_URL')
  expect(ended.err).not.toContain(PASSWORD)
})

test('doctor names a database whose name resolves to several addresses', async () => {
  const port = await freePort()
  const ended = await launched({ DATABASE_URL: `postgres://u:${PASSWORD}@localhost:${port}/weaver` }, 'doctor')
  expect(ended.code).toBe(1)
  expect(ended.out).toMatch(
    new RegExp(`FAIL +database +cannot use the Postgres at localhost:${port}/weaver: .*ECONNREFUSED`),
  )
  expect(ended.out + ended.err).not.toContain(PASSWORD)
})

test('a data directory that is a file is named with the variable that sets it', async () => {
  const env = { DATABASE_URL: '', WEAVER_DATA_DIR: file('good.csv') }
  const ended = await launched(env, 'start')
  expect(ended).toMatchObject({ code: 1, out: '' })
  expect(ended.err).toContain(
    `cannot write to the folder ${file('good.csv')}: make it writable, or set WEAVER_DATA_DIR`,
  )
})

test('a port in use is named with the variable that sets it', async () => {
  const taken: Server = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const address = taken.address()
  const port = String(typeof address === 'object' ? address?.port : 0)
  const ended = await launched({ WEAVER_PORT: port }, 'start')
  taken.close()
  expect(ended.code).toBe(1)
  expect(ended.err).toContain(`port ${port} on 127.0.0.1 is in use`)
})

test('every problem of the configuration is told at once, no secret with it', async () => {
  const ended = await weaverWith({ DATABASE_URL: PASSWORD, WEAVER_PORT: 'x', WEAVER_API_KEY: 'tiny' }, 'runs')
  expect(ended).toMatchObject({ code: 1, out: '' })
  for (const name of ['DATABASE_URL', 'WEAVER_PORT', 'WEAVER_API_KEY']) expect(ended.err).toContain(name)
  expect(ended.err).not.toContain(PASSWORD)
  expect(ended.err).not.toContain('tiny')
})
