/** What a run is worth at its ticks while what it holds, and its bars, become others. */
import { expect, test } from 'vitest'
import type { RunRow } from '../../db/walle/rows.ts'
import { aRun } from '../../tests/support/walle_rows.ts'
import { takeIn } from './jobs.ts'
import { equityAt, newLiveCheckpoint } from './ticks.ts'

/** Windows of two bars of a share, tick by tick, with what is held of it and the splits that were applied to that. */
function taken(...steps: { closes: [number, number]; qty: string; splits?: [number, number][] }[]) {
  const checkpoint = newLiveCheckpoint()
  const run = aRun(1, { mode: 'paper', exchange: 'sim', symbols: ['AAPL'], window_bars: 2 }) as unknown as RunRow
  return steps.map(({ closes, qty, splits: applied = [] }, n) => {
    const close = Float64Array.from(closes)
    const columns = { time: Float64Array.from([n, n + 1]), open: close, high: close, low: close, close, volume: close }
    const splits = applied.map(([fresh, old]) => ({ symbol: 'AAPL', fresh, old, next_order: 0 }))
    const position = {
      run_id: run.id,
      symbol: 'AAPL',
      qty,
      avg_price: '200',
      realised_pnl: '0',
      cost: '0',
      last_price: null,
    }
    const account = { positions: [position], splits }
    const windows = { shown: [{ symbol: 'AAPL', timeframe: run.timeframe, columns }], events: 1 }
    takeIn({ run, checkpoint, windows, account })
    return equityAt({ cash: '0', ...account }, checkpoint.newest).equity
  })
}

test('over a split equity is what it was, whichever comes first: its bars, or what is held', () => {
  const before = { closes: [198, 200], qty: '10' } as const
  const barsFirst = taken(
    { ...before, closes: [198, 200] },
    { closes: [50, 51], qty: '10' },
    { closes: [51, 52], qty: '40', splits: [[4, 1]] },
    { closes: [52, 26], qty: '40', splits: [[4, 1]] },
  )
  expect(barsFirst).toEqual([2000, 2040, 2080, 1040])
  const heldFirst = taken(
    { ...before, closes: [198, 200] },
    { closes: [200, 204], qty: '40', splits: [[4, 1]] },
    { closes: [51, 52], qty: '40', splits: [[4, 1]] },
  )
  expect(heldFirst).toEqual([2000, 2040, 2080])
  const reverse = taken({ ...before, closes: [198, 200] }, { closes: [2000, 2010], qty: '10' })
  expect(reverse[1]).toBeCloseTo(2010, 8)
})

test('a crash counts, and what was split while nothing was held is bought at its new price', () => {
  expect(taken({ closes: [198, 200], qty: '10' }, { closes: [200, 100], qty: '10' })).toEqual([2000, 1000])
  const flat = taken({ closes: [198, 200], qty: '0' }, { closes: [50, 51], qty: '0' }, { closes: [51, 52], qty: '10' })
  expect(flat).toEqual([0, 0, 520])
})
