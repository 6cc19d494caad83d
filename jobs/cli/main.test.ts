/** The command line as a person uses it, in this process. What it says to bad input: tests/bad_input/cli.test.ts. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectOwner } from '../../db/client.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { VERSION } from '../version.ts'
import { runCli } from './main.ts'

const BARS = 200
const MINUTE_LIMIT = 60_000
const ON = ['--symbol', 'BTC/USD', '--timeframe', '1h']

let database: TestDatabase
let home: string
let printed = { out: '', err: '' }

beforeAll(async () => {
  database = await createTestDatabase()
  home = await mkdtemp(join(tmpdir(), 'weaver-main-'))
  const start = Date.UTC(2024, 0, 1)
  const bars = generateCandles({ timeframe: '1h', start, bars: BARS, seed: 3, startPrice: 100, volatility: 0.02 })
  const lines = bars.map(({ time, open, high, low, close, volume }) =>
    [new Date(time).toISOString(), open, high, low, close, volume].join(','),
  )
  await writeFile(join(home, 'bars.csv'), `${['timestamp,open,high,low,close,volume', ...lines].join('\n')}\n`)
})
afterAll(async () => {
  await database?.drop()
  await rm(home, { recursive: true, force: true })
})

beforeEach(() => {
  vi.stubEnv('DATABASE_URL', database.url)
  vi.stubEnv('WEAVER_DATA_DIR', join(home, 'data'))
  vi.stubEnv('WEAVER_LOG_LEVEL', 'error')
  printed = { out: '', err: '' }
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.out += text
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed.err += text
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

async function asOwner(url: string, text: string): Promise<void> {
  const owner = await connectOwner({ url, applicationName: 'weaver test owner' })
  try {
    await owner.query(text)
  } finally {
    await owner.end()
  }
}

/** Runs a command line that must succeed and gives what it prints. */
async function weaver(...args: string[]): Promise<string> {
  printed = { out: '', err: '' }
  expect({ code: await runCli(args), err: printed.err }).toEqual({ code: 0, err: '' })
  return printed.out
}

test('an import says what is strange about candles, and refuses those of another adjustment', async () => {
  const file = join(home, 'split.csv')
  const bars = ['2024-01-02,400', '2024-01-03,100', '2024-01-05,100'].map((bar) => {
    const [date, price] = bar.split(',')
    return [date, price, price, price, price, 5].join(',')
  })
  await writeFile(file, ['timestamp,open,high,low,close,volume', ...bars].join('\n'))
  const on = ['import', file, '--symbol', 'SPLIT', '--timeframe', '1d']
  printed = { out: '', err: '' }
  expect(await runCli([...on, '--adjustment', 'raw', '--feed', 'sip'])).toBe(0)
  expect(printed.out).toContain('gaps: 1, 1 bars missing, the longest 1 bars\n')
  expect(printed.err).toContain(
    'warning: SPLIT 1d: 1 overnight jump like a split in candles that are said to be raw, 2024-01-03T00:00:00.000Z (4:1)',
  )
  await writeFile(file, ['timestamp,open,high,low,close,volume', ...bars.slice(1)].join('\n'))
  printed = { out: '', err: '' }
  expect(await runCli([...on, '--adjustment', 'split', '--feed', 'sip'])).toBe(1)
  expect(printed.err).toContain(
    'SPLIT 1d holds 3 candles with adjustment raw, and these have adjustment split: say adju',
  )
})

test('an import tells how much was read, stored and left out, and a second one finds nothing new', async () => {
  const file = join(home, 'bars.csv')
  const first = '2024-01-01T00:00:00.000Z to 2024-01-09T07:00:00.000Z'
  expect(await weaver('import', file, ...ON)).toBe(
    `${file}: 200 rows read, 0 rejected\nBTC/USD 1h: 200 stored, 0 revised, 0 unchanged, ${first}\ngaps: none\n`,
  )
  expect(await weaver('import', file, ...ON)).toContain('BTC/USD 1h: 0 stored, 0 revised, 200 unchanged')
})

test(
  'a backtest prints one JSON object or a report, the same hash in both, and the list of runs has them',
  async () => {
    const line = ['backtest', 'sma_cross', ...ON, '--param', 'fast=3', '--param', 'slow=8', '--cash', '5000']
    const report = JSON.parse(await weaver(...line, '--seed', '7', '--label', 'first', '--json'))
    expect(report).toMatchObject({
      run: {
        status: 'completed',
        mode: 'backtest',
        start_time: '2024-01-01T00:00:00.000Z',
        end_time: '2024-01-09T08:00:00.000Z',
        config: { fast: 3, slow: 8, qty: '1' },
        initial_cash: '5000',
        seed: 7,
        label: 'first',
      },
      result_hash: report.run.result_hash,
    })
    expect(Object.keys(report)).toEqual(['run', 'stats', 'fills', 'result_hash'])
    expect(report.result_hash).toMatch(/^[0-9a-f]{64}$/)
    expect(report.fills.length).toBeGreaterThan(4)
    expect(Object.keys(report.fills[0])).toEqual(['timestamp', 'symbol', 'side', 'qty', 'price', 'fee', 'order_id'])

    // With the dashes that `deno task` leaves in.
    const text = await weaver('--', ...line)
    expect(text).toContain('sma_cross 1 on BTC/USD 1h, 2024-01-01T00:00:00.000Z to 2024-01-09T08:00:00.000Z')
    expect(text).toContain(`  result hash            ${report.result_hash}\n`)
    expect(text).toContain('  data                   BTC/USD 1h: 200 bars, raw, from import\n')

    const listed = JSON.parse(await weaver('runs', '--status', 'completed', '--json'))
    expect(listed.total).toBe(2)
    expect(listed.items.map((run: { label: string | null }) => run.label)).toEqual([null, 'first'])
    const lines = (await weaver('runs', '--limit', '1')).trim().split('\n')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(
      /^[0-9a-f-]{36} {2}completed {2}backtest {2}sma_cross {9}BTC\/USD {2}1h {2}-?\d+\.\d\d % {2}/,
    )
  },
  MINUTE_LIMIT,
)

test('times are read in UTC and bound the run', async () => {
  const times = ['--start', '2024-01-02T00:00:00Z', '--end', '2024-01-03T00:00:00Z']
  const { run } = JSON.parse(await weaver('backtest', 'buy_and_hold', ...ON, ...times, '--json'))
  expect([run.start_time, run.end_time, run.next_tick]).toEqual([
    '2024-01-02T00:00:00.000Z',
    '2024-01-03T00:00:00.000Z',
    25,
  ])
})

test('a run that fails gives exit code 1 and says why', async () => {
  expect(await runCli(['backtest', 'no_such_strategy', ...ON])).toBe(1)
  expect(printed.out).toBe('')
  expect(printed.err).toContain('no_such_strategy')
})

test('migrate finds a database of this version and doctor finds everything well', async () => {
  expect(await weaver('migrate')).not.toBe('')
  const findings = await weaver('doctor')
  expect(findings).not.toContain('FAIL')
  for (const name of ['configuration', 'disk', 'database', 'migrations', 'clock', 'strategies']) {
    expect(findings).toMatch(new RegExp(`^ok {4}${name} `, 'm'))
  }
})

test('the version, the help of each command and an unknown command', async () => {
  expect(await weaver('--version')).toBe(`${VERSION}\n`)
  expect(await weaver('backtest', '--help')).toContain('--fill <name=value>')
  expect(await runCli(['bogus'])).toBe(2)
})

test('consumers are listed, and a change that does not fit one is refused by name', async () => {
  expect(await weaver('consumers')).toMatch(/^data_invalidation +(ok|stopped) +-?\d+ of \d+ +\d+ behind/)
  const [first] = JSON.parse(await weaver('consumers', '--json')).items
  expect(first).toMatchObject({ id: 'data_invalidation', failures: 0, last_error: null, lag_limit: 10_000 })
  for (const [args, message, code] of [
    [['skip', 'data_invalidation', '3', '--reason', 'no'], 'consumer data_invalidation is not stuck at an event', 1],
    [['skip', 'data_invalidation', 'three', '--reason', 'no'], 'three is no seq: it is a whole number', 2],
    [['rewind', 'data_invalidation'], 'consumer data_invalidation is not ahead of the log', 1],
    [['remove', 'nobody'], 'there is no consumer nobody; there are: data_invalidation', 1],
  ] as const) {
    printed = { out: '', err: '' }
    expect(await runCli(['consumers', ...args])).toBe(code)
    expect(printed.err).toContain(message)
  }
})

test(
  'a database of a newer Weaver is refused by whatever opens it, with what to do',
  async () => {
    const newer = await createTestDatabase()
    try {
      await asOwner(newer.url, `insert into public.weaver_migrations (version, name, md5) values (999, 'future', 'x')`)
      vi.stubEnv('DATABASE_URL', newer.url)
      for (const args of [['start'], ['api'], ['work'], ['migrate'], ['runs'], ['consumers'], ['doctor']]) {
        printed = { out: '', err: '' }
        expect(await runCli(args), args[0]).toBe(1)
        expect(printed.out + printed.err, args[0]).toContain(
          'the database was made by a newer Weaver: it is at version 999',
        )
        expect(printed.out + printed.err, args[0]).toContain(
          'Run the newer Weaver, or point DATABASE_URL at another database.',
        )
      }
    } finally {
      await newer.drop()
    }
  },
  MINUTE_LIMIT,
)
