import { expect, test } from 'vitest'
import { assumptions, bandView, skipViews } from './doubts.ts'

const variant = (final_equity: string) => ({
  ...{ limit_fill: 'touch' as const, slippage_bps: '5', market_fill: 'next_close' as const },
  ...{ ambiguous_bar: 'stop_loss' as const, final_equity, total_return: 0, max_drawdown: 0 },
  ...{ sharpe_ratio: null, total_trades: 1, win_rate: null },
})
const band = (equities: string[]) => ({
  ...{ run_id: 'r', status: 'completed' as const, progress: 1, error: null, created_at: '', updated_at: '' },
  result: { variants: equities.map(variant), ambiguous_bars: 0, ambiguous_trades: 0 },
})

test('the range goes from the poorest to the richest variant, the own rules come first', () => {
  const view = bandView(band(['100', '99.5', '1000', '99.6']))
  expect([view?.own, view?.worst, view?.best].map((one) => one?.final_equity)).toEqual(['100', '99.5', '1000'])
  expect(bandView({ ...band([]), result: null })).toBeNull()
  expect(bandView(null)).toBeNull()
})

test('assumptions are told in words', () => {
  expect(assumptions(variant('1'))).toBe(
    "limits filled when touched, market orders at the next bar's close, slippage 5 bps, stop loss first",
  )
})

test('reasons have their share of the ticks, where the ticks are known', () => {
  const skips = [{ kind: 'risk' as const, rule: 'r', reason: 'max_position', ticks: 1500, first_ts: '', last_ts: '' }]
  expect(skipViews({ skips }, 3000)).toMatchObject([{ reason: 'max_position', saidBy: 'a risk rule', ticks: '1,500' }])
  expect(skipViews({ skips }, 3000)[0]?.share).toContain('50')
  expect(skipViews({ skips }, null)[0]?.share).toBe('–')
})
