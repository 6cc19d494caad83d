/** I7 across runtimes: what Node plays, Deno plays, bit by bit. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { hashOfMaths, playSeeds } from './play_seeds.ts'

const ROOT = new URL('../../', import.meta.url).pathname
const PLAYER = new URL('play_seeds.ts', import.meta.url).pathname
/** The programs themselves: what lies in node_modules/.bin may start them through a script. */
const DENO = `${ROOT}node_modules/deno/deno`
const NODE = `${ROOT}node_modules/node/bin/node`
const DENO_ARGS = ['run', '--quiet', '--no-prompt', '--cached-only', `--allow-read=${ROOT}`]
const LIMIT_MS = 60_000

const onDeno = 'Deno' in globalThis
const [other, program, args] = onDeno ? (['Node', NODE, []] as const) : (['Deno', DENO, DENO_ARGS] as const)

test('ten seeded backtests trade, each in its own way', () => {
  const results = playSeeds()
  expect(results).toHaveLength(10)
  for (const { seed, fills } of results) expect({ seed, traded: fills > 4 }).toEqual({ seed, traded: true })
  expect(new Set(results.map((result) => result.hash)).size).toBe(10)
})

test.skipIf(!existsSync(program))(
  `${other} gives the same orders, fills, decisions, trades, events, equity and logarithms as this runtime, bit by bit`,
  async () => {
    const { stdout } = await promisify(execFile)(program, [...args, PLAYER], { cwd: ROOT, timeout: LIMIT_MS })
    expect(JSON.parse(stdout)).toEqual({ runs: playSeeds(), maths: hashOfMaths() })
  },
  LIMIT_MS,
)
