/** `weaver backtest --html --band`: the file is there, and the range is printed. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from './support/database.ts'

const ENTRY = new URL('../weaver.ts', import.meta.url).pathname
const MARKET = ['--symbol', 'BTC/USD', '--timeframe', '1h']

let database: TestDatabase
let home: string
beforeAll(async () => {
  database = await createTestDatabase()
  home = await mkdtemp(join(tmpdir(), 'weaver-report-'))
})
afterAll(async () => {
  await database?.drop()
  await rm(home, { recursive: true, force: true })
})

function weaver(...args: string[]) {
  const settings = { DATABASE_URL: database.url, WEAVER_DATA_DIR: join(home, 'data'), WEAVER_LOG_LEVEL: 'error' }
  const env = { PATH: process.env.PATH, HOME: home, ...settings }
  const { status, stdout, stderr } = spawnSync(process.execPath, [ENTRY, ...args], { env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

test('a report is written, the assumption band printed, and a file that cannot be written is told before the run', async () => {
  const bars = Array.from({ length: 200 }, (_, n) => {
    const price = 100 + 10 * Math.sin(n / 5)
    const time = new Date(Date.UTC(2024, 0, 1) + n * 3_600_000).toISOString()
    return `${time},${price},${price + 1},${price - 1},${price},10`
  })
  await writeFile(join(home, 'wave.csv'), ['timestamp,open,high,low,close,volume', ...bars].join('\n'))
  expect(weaver('import', join(home, 'wave.csv'), ...MARKET)).toMatchObject({ status: 0 })

  const nowhere = join(home, 'no', 'report.html')
  expect(weaver('backtest', 'sma_cross', ...MARKET, '--html', nowhere)).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining(`the report cannot be written to ${nowhere}: ENOENT`),
  })

  const file = join(home, 'report.html')
  const { status, stdout, stderr } = weaver('backtest', 'sma_cross', ...MARKET, '--band', '--html', file)
  expect({ status, stderr }).toEqual({ status: 0, stderr: `report written to ${file}\n` })
  expect(stdout).toMatch(/assumption band +-?[\d.]+ % to -?[\d.]+ % return under 12 sets of assumptions/)
  // The run before it was refused: nothing was tried.
  expect(stdout).toMatch(/trials +1\n/)
  const page = await readFile(file, 'utf8')
  expect(page).toContain('The same backtest under other assumptions returned between')
  expect(page).toContain('npm run weaver -- backtest sma_cross --symbol BTC/USD --timeframe 1h')
}, 60_000)
