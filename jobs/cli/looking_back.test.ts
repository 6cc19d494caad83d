/** `weaver trace`, `rebuild` and `events` as a person uses them, in this process. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectOwner } from '../../db/client.ts'
import { append } from '../../db/events/append.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { insertRun, progressed } from '../../tests/support/log.ts'
import { until } from '../../tests/support/until.ts'
import { VERSION } from '../version.ts'
import { runCli } from './main.ts'

const ON = ['--symbol', 'BTC/USD', '--timeframe', '1h']
const MINUTE_LIMIT = 60_000

let database: TestDatabase
let home: string
let printed = { out: '', err: '' }
let run: string
let order: string

function listen(): void {
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
}

/** Runs a command line and gives what it prints. */
async function weaver(code: number, ...args: string[]): Promise<string> {
  printed = { out: '', err: '' }
  expect({ code: await runCli(args), err: printed.err }).toEqual({ code, err: '' })
  return printed.out
}

async function sql(text: string): Promise<void> {
  const owner = await connectOwner({ url: database.url, applicationName: 'tamper' })
  await owner.query(text).finally(() => owner.end())
}

beforeAll(async () => {
  database = await createTestDatabase()
  home = await mkdtemp(join(tmpdir(), 'weaver-looking-back-'))
  const start = Date.UTC(2024, 0, 1)
  const bars = generateCandles({ timeframe: '1h', start, bars: 80, seed: 3, startPrice: 100, volatility: 0.02 })
  const lines = bars.map(({ time, open, high, low, close, volume }) =>
    [new Date(time).toISOString(), open, high, low, close, volume].join(','),
  )
  await writeFile(join(home, 'bars.csv'), `${['timestamp,open,high,low,close,volume', ...lines].join('\n')}\n`)
  listen()
  await weaver(0, 'import', join(home, 'bars.csv'), ...ON)
  const line = ['backtest', 'sma_cross', ...ON, '--param', 'fast=3', '--param', 'slow=8', '--json']
  const report = JSON.parse(await weaver(0, ...line, '--audit', 'full'))
  run = report.run.id
  order = report.fills[0].order_id
  vi.restoreAllMocks()
}, MINUTE_LIMIT)
afterAll(async () => {
  await database?.drop()
  await rm(home, { recursive: true, force: true })
})
beforeEach(listen)
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

test('trace tells an order hop by hop, from the log', async () => {
  const lines = (await weaver(0, 'trace', order)).trim().split('\n')
  expect(lines[0]).toMatch(/^order w-[0-9a-f-]+-\d+-0 \([0-9a-f-]{36}\), filled, of run [0-9a-f-]{36}; from the log$/)
  const hops = lines.slice(1).map((line) => line.trim().split(/ {2,}/))
  expect(hops.map((hop) => hop.at(-2))).toEqual([
    ...['clock.Tick', 'strategy.FetchWindow', 'backtest.FetchWindow', 'data.WindowReady', 'strategy.DecisionMade'],
    ...['strategy.PlaceRequest', 'backtest.PlaceOrder', 'orders.Created', 'orders.Submitted', 'orders.Accepted'],
    'orders.Filled',
  ])
  expect(hops.map((hop) => hop.at(-1)).slice(0, 9)).toEqual([
    expect.stringMatching(/^tick \d+, 1h$/),
    'wants 9 bars of BTC/USD 1h',
    'wants 9 bars of BTC/USD 1h',
    expect.stringMatching(/^9 bars of BTC\/USD 1h to 2024-01-0\dT\d\d:00:00\.000Z$/),
    expect.stringMatching(/^buy 1 BTC\/USD market \(.+\)$/),
    expect.stringMatching(/^buy 1 BTC\/USD market \(.+\)$/),
    expect.stringMatching(/^buy 1 BTC\/USD market \(.+\)$/),
    expect.stringMatching(/^buy 1 BTC\/USD market, gtc, .+$/),
    'sent',
  ])
  expect(JSON.parse(await weaver(0, 'trace', order, '--json'))).toMatchObject({ derived: false, order: { id: order } })
})

interface Line {
  n: number
  what: string
  summary: string
}

test('in SQL a trace is the same, and an unknown order an error that says so', async () => {
  const { hops } = JSON.parse(await weaver(0, 'trace', order, '--json'))
  expect(await database.db.reader.query('select * from weaver.order_trace($1)', [order])).toEqual(hops)
  await expect(database.db.reader.query(`select * from weaver.order_trace('fish')`)).rejects.toThrow(
    'there is no order fish',
  )
})

test('a timeline tells what happened to a run, also to one that left a summary', async () => {
  const { reader } = database.db
  const timeline = (id: string) => reader.query<Line>('select n, what, summary from weaver.run_timeline($1)', [id])
  const line = ['backtest', 'sma_cross', ...ON, '--param', 'fast=3', '--param', 'slow=8', '--label', 'short', '--json']
  const report = JSON.parse(await weaver(0, ...line))
  const lines = await timeline(report.run.id)
  expect(lines.map(({ n }) => n)).toEqual(lines.map((_, index) => index + 1))
  expect(lines.slice(0, 5)).toEqual([
    { n: 1, what: 'created', summary: 'sma_cross 1 on BTC/USD 1h, backtest: short' },
    { n: 2, what: 'started', summary: `by Weaver ${VERSION}, audit summary` },
    { n: 3, what: 'decision', summary: expect.stringMatching(/^buy 1 BTC\/USD market \(.+\)$/) },
    { n: 4, what: 'order', summary: expect.stringMatching(/^buy 1 BTC\/USD market: filled 1 at [\d.]+$/) },
    { n: 5, what: 'fill', summary: expect.stringMatching(/^buy 1 BTC\/USD at [\d.]+$/) },
  ])
  expect(lines.slice(-2)).toEqual([
    { n: lines.length - 1, what: 'progress', summary: '80 of 80 ticks in 1 steps' },
    { n: lines.length, what: 'completed', summary: `result hash ${report.result_hash.slice(0, 12)}` },
  ])
  const count = (what: string) => lines.filter((one) => one.what === what).length
  expect([count('fill'), count('order')]).toEqual([report.fills.length, report.fills.length])
  await sql(
    `insert into weaver.job_dead_letters (id, task, payload, run_id, error, attempts, failed_at)
     values (77, 'greta.run_chunk', '{}', '${report.run.id}', 'no luck', 3, now())`,
  )
  const failed = (await timeline(report.run.id)).filter(({ what }) => what === 'job failed')
  expect(failed.map(({ summary }) => summary)).toEqual(['the job greta.run_chunk failed for good: no luck'])
  await expect(timeline('00000000-0000-4000-8000-000000000000')).rejects.toThrow('there is no run 00000000')
})

test('trace says that there is no such order', async () => {
  expect(await runCli(['trace', 'nothing'])).toBe(1)
  expect(printed).toEqual({ out: '', err: 'weaver: there is no order nothing\n' })
})

test('rebuild finds everything equal, names what was changed by hand, and puts it right', async () => {
  expect(await weaver(0, 'rebuild')).toMatch(
    /sma_cross backtest: equal \(\d+ events; \d+ orders, .*\)\n1 runs, 0 that differ\n$/,
  )
  await sql(`update weaver.orders set qty = 3 where id = '${order}'`)
  const told = `  orders ${order} qty: stored 3, by the log 1\n`
  expect(await weaver(1, 'rebuild', '--run', run)).toContain(told)
  expect(await weaver(0, 'rebuild', '--swap')).toMatch(/1 runs, 0 that differ; 1 differences put right\n$/)
  expect(JSON.parse(await weaver(0, 'rebuild', '--json'))).toMatchObject({ run_id: run, left_out: [], swapped: 0 })
  expect(await weaver(0, 'events', '--run', run, '--types', 'run.Rebuilt')).toContain(
    '1 rows replaced by what the log says',
  )
})

test('rebuild of a run that leaves a summary is refused with the reason, and so is a swap under a running run', async () => {
  const line = ['backtest', 'buy_and_hold', ...ON, '--json']
  const { run: summary } = JSON.parse(await weaver(0, ...line))
  expect(await runCli(['rebuild', '--run', summary.id])).toBe(1)
  expect(printed.err).toContain('cannot be rebuilt: its audit is summary')
  await sql(`update weaver.runs set status = 'running' where id = '${run}'`)
  printed.err = ''
  expect(await runCli(['rebuild', '--swap'])).toBe(1)
  expect(printed.err).toBe(`weaver: the run ${run} is running: its rows are replaced only after its end\n`)
  await sql(`update weaver.runs set status = 'completed' where id = '${run}'`)
})

test('events prints the log, filtered, as lines or as JSON', async () => {
  const fills = (await weaver(0, 'events', '--run', run, '--types', 'order.filled')).trim().split('\n')
  expect(fills[0]).toMatch(
    /^\d+ {2}2024-01-0\dT\d\d:00:00\.000Z {2}[0-9a-f]{8} {2}orders\.Filled {13}1 at [\d.]+, fee 0$/,
  )
  const all = (await weaver(0, 'events', '--run', run, '--json')).trim().split('\n')
  const events = all.map((line) => JSON.parse(line))
  expect(events.map((event) => event.seq)).toEqual(events.map((event) => event.seq).toSorted((a, b) => a - b))
  expect(events.filter((event) => event.type === 'orders.Filled')).toHaveLength(fills.length)
  const after = events.at(-2).seq
  expect((await weaver(0, 'events', '--run', run, '--after', String(after))).trim().split('\n')).toHaveLength(1)
})

test('events names rows that cannot be read and goes on', async () => {
  await sql(
    `insert into weaver.outbox (event_id, type, corr_id, payload) values (gen_random_uuid(), 'data.Nonsense', gen_random_uuid(), '{}')`,
  )
  expect(await runCli(['events', '--run', run])).toBe(0)
  expect(await runCli(['events'])).toBe(0)
  expect(printed.err).toMatch(/^weaver: seq \d+: data\.Nonsense [0-9a-f-]{36} cannot be read: .+\n$/)
  expect(printed.out).toContain('run.Completed')
})

test('events --follow waits for more until it is interrupted, and ends well', async () => {
  const other = await insertRun(database.db)
  const done = runCli(['events', '--follow', '--run', other, '--json'])
  await until('it follows', async () => process.listenerCount('SIGINT') > 0)
  await database.db.write((tx) => append(tx, [progressed(other, 7)]))
  await until('the event to be shown', async () => printed.out.includes('"next_tick":7'))
  process.emit('SIGINT')
  expect(await done).toBe(0)
  expect(printed.out.trim().split('\n')).toHaveLength(1)
})

test.each([
  [['events', '--run', 'x'], '--run x is not'],
  [['events', '--types', 'fish'], '--types fish is no type of event'],
  [['events', '--after', '-7'], '--after -7 is no place'],
])('bad usage of %s is told with exit code 2', async (line, told) => {
  expect(await runCli(line)).toBe(2)
  expect(printed.err).toContain(told)
})
