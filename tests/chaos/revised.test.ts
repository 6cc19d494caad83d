/** One result, one data set: a run whose candles are revised between two of its chunks does not go on with the new ones. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRunDataCache, DataRevised } from '../../jobs/backtest/run_data.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'
import { seededRun } from '../support/seeded.ts'

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess()
})
afterAll(async () => {
  await weaver.close()
})

test('a run is refused its bars when they are no longer those that it started with', async () => {
  const { columns, timeframe } = seededRun(3, 40)
  await weaver.store('REV/USD', timeframe, columns)
  const run = await weaver.backtest({ strategy_id: 'buy_and_hold', symbols: ['REV/USD'], timeframe }, columns)
  expect(run.status).toBe('completed')
  const { reader } = weaver.system.db
  expect((await createRunDataCache(reader)(run)).fingerprint).toBe(run.dataset_fingerprint)

  columns.close[1] = columns.open[1] as number
  await weaver.store('REV/USD', timeframe, columns)
  await expect(createRunDataCache(reader)(run)).rejects.toThrow(DataRevised)
})
