/**
 * I2 to I5 and I11 on a real Weaver: whatever is killed, cut or restarted, nothing is lost and nothing happens twice.
 * This is the short loop: commits without an answer, a worker killed, Postgres killed, a child killed. The long one is a
 * command: `npm run chaos -- --kills 1000 --seed 7`. `WEAVER_ALL_FAULTS=1` hurts a whole Weaver with its own Postgres too.
 */
import { expect, test } from 'vitest'
import { runChaos } from './loop.ts'

const LIMIT_MS = 300_000
const MINUTE = 60_000

/** As the seed draws them. */
const FAULTS = ['unknown_commit', 'kill_worker', 'kill_postgres', 'kill_child']
const timesOf = (faults: Map<string, number>) => [...faults.values()].reduce((sum, times) => sum + times, 0)

test(
  'two workers, their clocks apart, and an API survive what is done to them and to their Postgres',
  async () => {
    const skews = [-7 * MINUTE, 11 * MINUTE]
    const report = await runChaos({
      seed: 1967,
      faults: 4,
      perEpisode: 4,
      shape: 'parts',
      only: [],
      skews,
      log: () => {},
    })
    expect([[...report.faults.keys()], report.crashes]).toEqual([FAULTS, []])
  },
  LIMIT_MS,
)

test.skipIf(!process.env.WEAVER_ALL_FAULTS)(
  'a whole Weaver survives it by itself, and the Postgres that it brings (needs WEAVER_ALL_FAULTS=1)',
  async () => {
    const report = await runChaos({ seed: 33, faults: 2, perEpisode: 2, shape: 'start', only: [], log: () => {} })
    expect([timesOf(report.faults), report.crashes]).toEqual([2, []])
  },
  LIMIT_MS,
)
