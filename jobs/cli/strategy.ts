/** `weaver strategy new`: a strategy to start from, with its test, where a person's own strategies lie. */
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CliContext, CliError } from './context.ts'

export const LOCAL_STRATEGIES = fileURLToPath(new URL('../../strategies/local', import.meta.url))

/** What a strategy's id may be, so that the folder and the id are one name. */
const NAME = /^[a-z][a-z0-9_]{0,63}$/

/** Gives the files that were written. `taken`: ids of the strategies that there are. */
export async function newStrategy(folder: string, name: string): Promise<string[]> {
  if (!NAME.test(name)) {
    throw new CliError(
      `${JSON.stringify(name)} is no name for a strategy: use lower-case letters, digits and _, a letter first, at most 64`,
      2,
    )
  }
  const home = resolve(folder, name)
  const taken = [home, `${home}.ts`, resolve(folder, '..', name), resolve(folder, '..', `${name}.ts`)].find(existsSync)
  if (taken)
    throw new CliError(`there is a strategy ${name} already: ${shown(taken)}. Choose another name, or remove it`)
  await mkdir(folder, { recursive: true })
  // Nobody else's folder is written into, and nothing half-written stays.
  await mkdir(home)
  const files = [
    [join(home, 'index.ts'), strategyText(name)],
    [join(home, 'index.test.ts'), testText(name)],
  ] as const
  try {
    for (const [file, text] of files) await writeFile(file, text, { flag: 'wx' })
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
  const config = join(folder, 'vitest.config.ts')
  if (!existsSync(config)) await writeFile(config, VITEST_CONFIG)
  return files.map(([file]) => file)
}

function shown(path: string): string {
  return relative(process.cwd(), path) || path
}

export async function newStrategyCommand(context: CliContext, name: string): Promise<number> {
  const files = await newStrategy(LOCAL_STRATEGIES, name)
  context.print(
    [
      ...files.map((file) => `wrote ${shown(file)}`),
      '',
      `test it:  npx vitest run --root ${shown(LOCAL_STRATEGIES)}`,
      `run it:   npm run weaver -- backtest ${name} --symbol DEMO/USD --timeframe 1h`,
      `audit it: npm run weaver -- audit ${name} --symbol DEMO/USD --timeframe 1h`,
    ].join('\n'),
  )
  return 0
}

/** The repository's own tests leave local/ alone: it has a configuration of its own. */
const VITEST_CONFIG = 'export default {}\n'

function strategyText(name: string): string {
  return `import { defineStrategy, z } from '../../api.ts'
import { crossOfAverages } from '../../indicators.ts'

export default defineStrategy({
  id: '${name}',
  version: '1',
  description: 'Long while the fast average of closes is above the slow one.',
  params: z.object({
    fast: z.int().min(1).default(10),
    slow: z.int().min(2).default(30),
    qty: z.string().default('1'),
  }),
  /** Closed bars wanted: the slow average, and the bar before it to see a cross. */
  window: ({ fast, slow }) => ({ bars: Math.max(fast, slow) + 1 }),
  onWindow(ctx) {
    const { fast, slow, qty } = ctx.params
    for (const symbol of ctx.symbols) {
      const cross = crossOfAverages(ctx.window(symbol).close, fast, slow)
      const flat = ctx.position(symbol).qty === '0'
      if (cross > 0 && flat) ctx.buy({ symbol, qty, type: 'market', reason: 'fast crossed above slow' })
      else if (cross < 0 && !flat) ctx.close(symbol, 'fast crossed below slow')
      else ctx.skip('no cross')
    }
  },
})
`
}

function testText(name: string): string {
  return `import { expect, test } from 'vitest'
import type { Candle } from '../../api.ts'
import { play } from '../../testing.ts'
import strategy from './index.ts'

const DAY = 86_400_000

/** Bars that open where the last one closed. */
function barsOf(closes: number[]): Candle[] {
  return closes.map((close, day) => {
    const open = closes[day - 1] ?? close
    const prices = { open, high: Math.max(open, close), low: Math.min(open, close), close }
    return { symbol: 'TEST/USD', timeframe: '1d', time: day * DAY, ...prices, volume: 1, trade_count: null }
  })
}

test('${name} buys when the price turns up, sells when it turns down', () => {
  const closes = [10, 9, 8, 9, 11, 13, 12, 10, 8, 7]
  const { fills } = play(strategy, barsOf(closes), { params: { fast: 2, slow: 3 } })
  expect(fills.map(({ bar_index, side, qty }) => [bar_index, side, qty])).toEqual([
    [5, 'buy', '1'],
    [8, 'sell', '1'],
  ])
})
`
}
