/**
 * `npm run chaos -- --kills 1000 --seed 7 [--only kill,pause] [--shape parts|start] [--per-episode 20]`, or paper runs through
 * a bad day at the simulator: `npm run chaos -- --paper [--runs 20] [--hours 24] [--seed 1]`
 */
import { parseArgs } from 'node:util'
import { commandOf, runChaos } from './loop.ts'
import { tableOf } from './table.ts'
import { runTestFile } from './vitest_run.ts'
import type { Shape } from './world.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    shape: { type: 'string', default: 'parts' },
    'per-episode': { type: 'string', default: '20' },
    paper: { type: 'boolean', default: false },
    runs: { type: 'string', default: '20' },
    hours: { type: 'string', default: '24' },
  },
})
if (values.shape !== 'parts' && values.shape !== 'start') throw new Error('--shape is parts or start')
if (values.paper) {
  const minutes = String(Math.ceil(Number(values.hours) * 60))
  process.exitCode = await runTestFile('tests/paper/day.test.ts', {
    PAPER_RUNS: values.runs,
    PAPER_MINUTES: minutes,
    PAPER_SEED: values.seed,
  })
} else {
  await killing(values.shape)
}

async function killing(shape: Shape): Promise<void> {
  const options = {
    seed: Number(values.seed),
    faults: Number(values.kills),
    perEpisode: Number(values['per-episode']),
    shape,
    only: values.only.split(',').filter((name) => name !== ''),
    skews: [-7 * 60_000, 11 * 60_000],
    log: (text: string) => process.stdout.write(`${text}\n`),
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  process.stdout.write(`${commandOf(options)}\n`)
  try {
    process.stdout.write(`${tableOf(await runChaos(options))}\n`)
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : error}\n`)
    process.exitCode = 1
  }
}
