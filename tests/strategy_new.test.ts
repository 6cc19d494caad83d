/** `weaver strategy new`: what it writes passes its test and runs at once; what is there is never touched. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { columnsOf } from '../db/walle/candle_columns.ts'
import { generateCandles } from '../db/walle/generate.ts'
import { LOCAL_STRATEGIES, newStrategy } from '../jobs/cli/strategy.ts'
import { openInProcess } from './support/in_process.ts'

const VITEST = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

let strategies: string
beforeAll(async () => {
  strategies = await mkdtemp(join(tmpdir(), 'weaver-strategies-'))
  await mkdir(join(strategies, 'shipped'))
  await writeFile(join(strategies, 'single.ts'), '')
})
afterAll(() => rm(strategies, { recursive: true, force: true }))

test('it runs in a backtest at once', async () => {
  const [index = ''] = await newStrategy(join(strategies, 'local'), 'fresh')
  const weaver = await openInProcess({ 'local/fresh/index.ts': await readFile(index, 'utf8') })
  try {
    const columns = columnsOf(
      generateCandles({ timeframe: '1h', start: 0, bars: 300, seed: 1, startPrice: 100, volatility: 0.02 }),
    )
    await weaver.store('BTC/USD', '1h', columns)
    const run = await weaver.backtest({ strategy_id: 'fresh', symbols: ['BTC/USD'], timeframe: '1h' }, columns)
    expect([run.status, run.error]).toEqual(['completed', null])
    expect(Number(run.stats?.total_trades)).toBeGreaterThan(2)
  } finally {
    await weaver.close()
  }
})

test('its test passes', async () => {
  const name = `weaver_test_${process.pid}`
  const config = join(LOCAL_STRATEGIES, 'vitest.config.ts')
  const [had, hadFolder] = [existsSync(config), existsSync(LOCAL_STRATEGIES)]
  try {
    await newStrategy(LOCAL_STRATEGIES, name)
    const args = [VITEST, 'run', '--root', LOCAL_STRATEGIES, name]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NO_COLOR: '1' } })
    expect(stdout).toMatch(/Tests +1 passed \(1\)/)
  } finally {
    await rm(join(LOCAL_STRATEGIES, name), { recursive: true, force: true })
    if (!had) await rm(config, { force: true })
    if (!hadFolder) await rm(LOCAL_STRATEGIES, { recursive: true, force: true })
  }
})

test.each(['Big', '1st', 'a-b', 'a/b', '../up', '', 'x'.repeat(65), 'index.ts'])(
  'the name %j is refused',
  async (name) => {
    await expect(newStrategy(join(strategies, 'local'), name)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/is no name for a strategy: use lower-case letters, digits and _/),
    })
  },
)

test.each(['shipped', 'single', 'fresh'])('a strategy %s that is there is not touched', async (name) => {
  const before = await readdir(strategies, { recursive: true })
  await expect(newStrategy(join(strategies, 'local'), name)).rejects.toThrow(
    new RegExp(`^there is a strategy ${name} already: `),
  )
  expect(await readdir(strategies, { recursive: true })).toEqual(before)
})
