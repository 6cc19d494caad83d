/** I2 to I5 and I11 on a real Weaver: whatever is killed, cut or paused, nothing is lost and nothing happens twice. */
import { expect, test } from 'vitest'
import { runChaos } from './loop.ts'

/** The long loop is a command: `npm run chaos -- --kills 1000 --seed 7`. */
const SHORT = { faults: 9, perEpisode: 9, only: [], log: () => {} }

test('two workers and an API survive what is done to them and to their Postgres', async () => {
  const report = await runChaos({ ...SHORT, seed: 1, shape: 'parts', skews: [-7 * 60_000, 11 * 60_000] })
  expect([...report.faults.values()].reduce((sum, count) => sum + count, 0)).toBe(9)
}, 240_000)
