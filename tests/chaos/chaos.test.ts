/**
 * I2 to I5 and I11 on a real Weaver: whatever is killed, cut or restarted, nothing is lost and nothing happens twice.
 * This is the short loop; the long one is a command: `npm run chaos -- --kills 1000 --seed 7`.
 */
import { expect, test } from 'vitest'
import { runChaos } from './loop.ts'

const LIMIT_MS = 300_000
const MINUTE = 60_000

const timesOf = (faults: Map<string, number>) => [...faults.values()].reduce((sum, times) => sum + times, 0)

test(
  'two workers, their clocks apart, and an API survive what is done to them and to their Postgres',
  async () => {
    const skews = [-7 * MINUTE, 11 * MINUTE]
    const report = await runChaos({ seed: 2, faults: 5, perEpisode: 5, shape: 'parts', only: [], skews, log: () => {} })
    expect([timesOf(report.faults), report.crashes]).toEqual([5, []])
  },
  LIMIT_MS,
)

test(
  'a whole Weaver survives it by itself, and the Postgres that it brings',
  async () => {
    const report = await runChaos({ seed: 33, faults: 2, perEpisode: 2, shape: 'start', only: [], log: () => {} })
    expect([timesOf(report.faults), report.crashes]).toEqual([2, []])
  },
  LIMIT_MS,
)
