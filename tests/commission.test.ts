/** A venue's fee schedule through real workers: the coin kept as a fee is missing from the position, and nothing else is. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listPositions } from '../db/walle/queries/results.ts'
import { TIMEFRAME_MS } from '../strategies/api.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'

const BARS = 24
const time = Float64Array.from({ length: BARS }, (_, bar) => Date.UTC(2024, 0, 1) + bar * TIMEFRAME_MS['1h'])
const flat = (value: number) => new Float64Array(BARS).fill(value)
const columns = { time, open: flat(100), high: flat(101), low: flat(99), close: flat(100), volume: flat(10) }
const REQUEST = {
  strategy_id: 'buy_and_hold',
  symbols: ['BTC/USD'],
  timeframe: '1h' as const,
  config: { qty: '0.1' },
  fill: { commission: 'alpaca_crypto' as const },
}

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess()
  await weaver.store('BTC/USD', '1h', columns)
})
afterAll(() => weaver?.close())

test.each(['chunk', 'chain'] as const)(
  'as a %s: a buy of 0.1 leaves 0.09975, and equity misses the rest',
  async (driver) => {
    const run = await weaver.backtest({ ...REQUEST, driver }, columns)
    expect([run.status, run.error]).toEqual(['completed', null])
    const fills = await weaver.system.db.reader.query(
      'select qty, price, fee, fee_qty from weaver.fills where run_id = $1',
      [run.id],
    )
    expect(fills).toEqual([{ qty: '0.1', price: '100', fee: '0.025', fee_qty: '0.00025' }])
    const positions = await listPositions(weaver.system.db.reader, run.id)
    expect(positions).toMatchObject([{ qty: '0.09975', avg_price: '100' }])
    expect(run.stats).toMatchObject({ final_equity: '99999.975', fees: '0.025' })
  },
)

test('what the schedule does not go with is refused by name', async () => {
  const fill = { ...REQUEST.fill, commission_bps: '10' }
  await expect(weaver.backtest({ ...REQUEST, fill }, columns)).rejects.toMatchObject({
    code: 'VALIDATION_ERROR',
    message: 'fill.commission_bps: with commission alpaca_crypto the schedule takes its place: leave it out',
  })
})
