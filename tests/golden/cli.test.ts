/** The README's way from a file of candles to a report, on real input: import and backtest by command line. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createMigratedDatabase } from '../support/database.ts'

const shared = process.env.WEAVER_SHARED_DATA
const ENTRY = fileURLToPath(new URL('../../weaver.ts', import.meta.url))
const run = promisify(execFile)

interface Report {
  run: { status: string }
  stats: { final_equity: string; total_trades: number }
  fills: {
    timestamp: string
    symbol: string
    side: string
    qty: string
    price: string
    fee: string
    order_id: string
  }[]
  result_hash: string
}

test.skipIf(!shared)(
  'import and backtest --json give the fills of the golden file to the last one (needs WEAVER_SHARED_DATA)',
  async () => {
    const database = await createMigratedDatabase()
    const dataDir = await mkdtemp(join(tmpdir(), 'weaver-cli-'))
    const weaver = (...args: string[]) =>
      run(process.execPath, [ENTRY, ...args], {
        env: { ...process.env, DATABASE_URL: database.url, WEAVER_DATA_DIR: dataDir },
        maxBuffer: 64 * 1024 * 1024,
      })
    try {
      const file = join(shared as string, 'data', 'btcusd_1h.csv')
      const imported = await weaver('import', file, '--symbol', 'BTC/USD', '--timeframe', '1h')
      expect(imported.stdout).toContain('33259 rows read, 0 rejected')
      const market = ['--symbol', 'BTC/USD', '--timeframe', '1h', '--cash', '1000000', '--param', 'qty=1']
      const played = await weaver('backtest', 'sma_cross', ...market, '--fill', 'preset=backtrader', '--json')
      const report: Report = JSON.parse(played.stdout)
      const golden = JSON.parse(
        await readFile(join(shared as string, 'golden', 'btcusd_1h__sma_cross_10_30.json'), 'utf8'),
      ).backtrader as { fills: [number, string, string, number, number][]; final_equity: number }
      expect(report.run.status).toBe('completed')
      expect(report.result_hash).toMatch(/^[0-9a-f]{64}$/)
      expect(report.fills.map(({ timestamp, side, qty }) => [Date.parse(timestamp), side, Number(qty)])).toEqual(
        golden.fills.map(([, timestamp, side, qty]) => [Date.parse(timestamp), side, qty]),
      )
      report.fills.forEach(({ price }, index) => {
        expect(Math.abs(Number(price) / (golden.fills[index]?.[4] as number) - 1)).toBeLessThan(1e-12)
      })
      expect(Number(report.stats.final_equity)).toBeCloseTo(golden.final_equity, 6)
    } finally {
      await database.drop()
      await rm(dataDir, { recursive: true, force: true })
    }
  },
  120_000,
)
