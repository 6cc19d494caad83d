/** A paper run played again from its log: identical when nothing was disturbed, and each disturbance in its class. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Parity } from '../../db/walle/queries/parity.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

const MINUTE = 60_000

let paper: PaperWorld
const runs: Record<'crossing' | 'restless', string> = { crossing: '', restless: '' }

async function replay(id: string): Promise<Parity> {
  const { commands } = paper.weaver.control
  expect((await commands.replayRun(id, {})).state).toBe('pending')
  return until('the replay to end', async () => {
    const parity = await commands.getParity(id)
    return parity.state === 'pending' ? null : parity
  })
}

const IDENTICAL = { data: 0, decision: 0, order: 0, fill: 0, cost: 0 }

beforeAll(async () => {
  paper = await openPaperWorld({ SIM_COMMISSION_BPS: '5' })
  const config = { fast: 1, slow: 2, qty: '3' }
  runs.crossing = (await paper.start({ strategy_id: 'sma_cross', symbols: ['SIM/USD'], config })).id
  runs.restless = (await paper.start({ strategy_id: 'restless', symbols: ['SIM/USD'] })).id
  await paper.pass(12 * MINUTE)
  for (const id of Object.values(runs)) await paper.stop(id)
}, 180_000)

afterAll(() => paper.close())

test('an undisturbed run is identical', async () => {
  const parity = await replay(runs.crossing)
  expect([parity.error, parity.differences]).toEqual([null, []])
  expect([parity.verdict, parity.counts, parity.ticks]).toEqual(['identical', IDENTICAL, 12])
  const again = await replay(runs.restless)
  expect([again.error, again.differences]).toEqual([null, []])
  console.log(JSON.stringify([parity, again], null, 1))
}, 120_000)
