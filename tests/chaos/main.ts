/** `npm run chaos -- --kills 1000 --seed 7 [--only kill,pause] [--shape parts|start] [--per-episode 20]` */
import { parseArgs } from 'node:util'
import { commandOf, runChaos } from './loop.ts'
import { tableOf } from './table.ts'
import type { Shape } from './world.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    shape: { type: 'string', default: 'parts' },
    'per-episode': { type: 'string', default: '20' },
  },
})
if (values.shape !== 'parts' && values.shape !== 'start') throw new Error('--shape is parts or start')
const options = {
  seed: Number(values.seed),
  faults: Number(values.kills),
  perEpisode: Number(values['per-episode']),
  shape: values.shape as Shape,
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
