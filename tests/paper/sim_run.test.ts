/** A paper run at the simulator, from the command to the last fill, through everything that carries it. */
import { beforeEach, expect, test } from 'vitest'
import { ALL_NUMBERED, ALWAYS, AT_REST, mustHold } from '../chaos/invariants.ts'
import { PAPER_ALWAYS, PAPER_AT_REST } from '../chaos/paper_invariants.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

const MINUTES = 11

let paper: PaperWorld
beforeEach(async () => {
  paper = await openPaperWorld()
  return () => paper.close()
}, 60_000)

const owner = () => ({
  query: <Row extends object>(text: string, values: readonly unknown[] = []) => paper.query<Row>(text, [...values]),
  copyTo: () => Promise.reject(new Error('not here')),
})

test('sma_cross trades on SIM/USD, and run, account and venue agree', async () => {
  const config = { fast: 1, slow: 2, qty: '3' }
  const { id } = await paper.start({ strategy_id: 'sma_cross', symbols: ['SIM/USD'], config })
  await paper.pass(MINUTES * 60_000)
  const ticks = await paper.query<{ bar_index: string; late: boolean; done: boolean; missed_reason: string | null }>(
    'select bar_index, drift_ms > 15000 as late, done_at is not null as done, missed_reason from weaver.clock_ticks order by ts',
  )
  expect(ticks).toEqual(
    Array.from({ length: MINUTES }, (_, index) => ({
      bar_index: String(index),
      late: false,
      done: true,
      missed_reason: null,
    })),
  )
  const decided = await paper.query<{ bar_index: string; side: string; status: string; filled_qty: string }>(
    'select bar_index, side, status, filled_qty from weaver.orders where run_id = $1 order by ordinal',
    [id],
  )
  expect(decided).toEqual(await crossesOfBars(config))
  expect(decided.length).toBeGreaterThan(1)
  expect((await paper.stop(id)).status).toBe('stopped')
  await until('consumers to be at the end of the log', async () => {
    const behind = await paper.query('select consumer_id from weaver.consumer_overview where lag > 0')
    return behind.length === 0 || null
  })
  await mustHold(owner(), [...ALWAYS, ...AT_REST, ...PAPER_ALWAYS, ...PAPER_AT_REST, ALL_NUMBERED])
}, 120_000)

/** What the strategy had to decide, from the bars of the venue at each tick. */
async function crossesOfBars({ fast, slow, qty }: { fast: number; slow: number; qty: string }) {
  const venue = await paper.exchange.look(({ market, at }) =>
    market('SIM/USD').bars({ timeframe: '1m', start: at - 40 * 60_000, end: at }, at, {
      bar_missing: 0,
      bar_late: 0,
      bar_late_ms: 0,
      bar_revised: 0,
    }),
  )
  const [first] = await paper.query<{ ts: Date }>('select min(ts) as ts from weaver.clock_ticks')
  const mean = (end: number, count: number) =>
    venue.slice(end - count, end).reduce((sum, { close }) => sum + Number(close), 0) / count
  const decided: object[] = []
  let held = false
  for (let index = 0; index < MINUTES; index++) {
    const end = venue.findIndex(({ time }) => time + 60_000 > (first?.ts.getTime() ?? 0) + index * 60_000)
    const upto = end < 0 ? venue.length : end
    const was = mean(upto - 1, fast) - mean(upto - 1, slow)
    const is = mean(upto, fast) - mean(upto, slow)
    const side: 'buy' | 'sell' | null = !held && was <= 0 && is > 0 ? 'buy' : held && was >= 0 && is < 0 ? 'sell' : null
    if (side === null) continue
    held = side === 'buy'
    decided.push({ bar_index: String(index), side, status: 'filled', filled_qty: qty })
  }
  return decided
}
