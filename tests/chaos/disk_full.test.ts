/** A disk that runs full stops what writes to it, and nothing else is needed than room for Weaver to go on by itself. */
import { execFileSync } from 'node:child_process'
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { afterAll, expect, test } from 'vitest'
import { openDatabase } from '../../db/client.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import { until } from '../support/until.ts'
import { freePort, launchWeaver, ownDatabaseUrl } from '../support/weaver_process.ts'
import { ask } from './http.ts'
import { ALWAYS, mustHold } from './invariants.ts'

const DISK_MB = 220
const BARS = 3_000
const START = Date.UTC(2024, 0, 1)
const LIMIT_MS = 240_000

/** A small disk of its own: only root may mount one, and not in every container. */
const disk = mkdtempSync(join(tmpdir(), 'weaver-disk-'))
chmodSync(disk, 0o755)
const mounted = mount()

function mount(): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=0755`, 'weaver-chaos', disk], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}
afterAll(() => {
  if (mounted) execFileSync('umount', ['-l', disk])
  rmSync(disk, { recursive: true, force: true })
})

function csvOf(seed: number): string {
  const shape = { timeframe: '1m', bars: BARS, startPrice: 100, volatility: 0.01 } as const
  const bars = generateCandles({ ...shape, start: START + seed * BARS * 60_000, seed })
  const rows = bars.map((bar) => [bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume].join(','))
  return ['timestamp,open,high,low,close,volume', ...rows].join('\n')
}

async function fill(file: string): Promise<void> {
  const megabyte = Buffer.alloc(1024 * 1024, 1)
  const endless = function* () {
    for (;;) yield megabyte
  }
  await expect(pipeline(endless, createWriteStream(file))).rejects.toThrow('ENOSPC')
}

test.skipIf(!mounted || !process.env.WEAVER_ALL_FAULTS)(
  'the disk runs full and is cleared: Weaver says so, loses nothing and goes on by itself (needs WEAVER_ALL_FAULTS=1)',
  async () => {
    const dataDir = join(disk, 'data')
    mkdirSync(dataDir)
    const port = await freePort()
    const env = { DATABASE_URL: '', WEAVER_DATA_DIR: dataDir, WEAVER_PORT: String(port), WEAVER_WORKERS: '1' }
    const weaver = launchWeaver('start', { ...env, WEAVER_LOG_LEVEL: 'warn' })
    const url = `http://127.0.0.1:${port}`
    const http = ask(url, new AbortController().signal)
    const importFile = (seed: number) =>
      http.once('POST', '/candles/import?symbol=FULL/USD&timeframe=1m', csvOf(seed)).catch(() => null)
    try {
      await weaver.ready
      let stored = 0
      const store = async () => {
        const answer = await importFile(stored)
        if (answer?.status === 200) stored += 1
        return answer
      }
      await store()
      await fill(join(disk, 'ballast'))
      const refused = await until('the disk to be felt', async () => {
        const answer = await store()
        return answer?.status !== 200 && answer
      })
      expect([refused.status, refused.body.code]).toEqual([503, 'SERVICE_UNAVAILABLE'])

      rmSync(join(disk, 'ballast'))
      await until('a file to be stored again', async () => (await store())?.status === 200, 60_000)
      const created = await http.until('POST', '/runs', {
        strategy_id: 'sma_cross',
        mode: 'backtest',
        symbols: ['FULL/USD'],
        timeframe: '1m',
        start_time: new Date(START).toISOString(),
        end_time: new Date(START + BARS * 60_000).toISOString(),
      })
      await http.until('POST', `/runs/${created.body.id}/start`, {})
      const run = await until('the end of a run', async () => {
        const { body } = await http.until('GET', `/runs/${created.body.id}`)
        return body.status !== 'running' && body
      })
      expect([run.status, run.error]).toEqual(['completed', null])
      expect(weaver.hasEnded()).toBe(false)
      const db = await openDatabase({ url: await ownDatabaseUrl(dataDir), applicationName: 'weaver test' })
      await mustHold(db.reader, ALWAYS)
      const [row] = await db.reader.query<{ bars: string }>(
        `select count(*) as bars from weaver.candles where symbol = 'FULL/USD'`,
      )
      await db.close()
      expect(Number(row?.bars)).toBe(stored * BARS)
    } finally {
      await weaver.end('SIGTERM')
    }
  },
  LIMIT_MS,
)
