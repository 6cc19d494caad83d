import { expect, test } from 'vitest'
import { commonRange, type NewRunForm, placeErrors, readNewRun, symbolsOf } from './new-run.ts'
import { formFields } from './schema-form.ts'
import type { Dataset } from './types.ts'

const fields = formFields({ properties: { fast: { type: 'integer', minimum: 1, default: 10 } } })
const form: NewRunForm = {
  strategyId: 'sma_cross',
  symbols: 'AAPL, MSFT AAPL',
  timeframe: '1d',
  start: '2026-01-01T00:00',
  end: '2026-02-01T12:30',
  cash: ' 100000.50 ',
  label: '',
  preset: 'weaver',
  fill: { slippage_bps: '2.5', commission_bps: '' },
  params: { fast: '12' },
}

test('the form becomes the request, with UTC times, text for money and fill numbers', () => {
  expect(readNewRun(form, fields)).toEqual({
    errors: {},
    body: {
      strategy_id: 'sma_cross',
      mode: 'backtest',
      symbols: ['AAPL', 'MSFT'],
      timeframe: '1d',
      start_time: '2026-01-01T00:00:00.000Z',
      end_time: '2026-02-01T12:30:00.000Z',
      config: { fast: 12 },
      initial_cash: '100000.50',
      fill: { preset: 'weaver', slippage_bps: '2.5' },
    },
  })
})

test('what is missing or wrong is named by the field of the request', () => {
  const wrong = { ...form, symbols: ' ', start: '', cash: '-1', fill: { slippage_bps: '-1' }, params: { fast: '0' } }
  expect(Object.keys(readNewRun(wrong, fields).errors).sort()).toEqual([
    'config.fast',
    'fill.slippage_bps',
    'initial_cash',
    'start_time',
    'symbols',
  ])
  expect(readNewRun({ ...form, end: '2025-01-01T00:00' }, fields).errors).toEqual({
    end_time: 'Must not be before the start.',
  })
})

test('the range offered is what all symbols have', () => {
  const set = (symbol: string, start: string, end: string): Dataset => ({
    symbol,
    timeframe: '1d',
    start,
    end,
    bars: 1,
    adjustment: 'raw',
    feed: 'import',
    gaps: 0,
    missing_bars: 0,
    warnings: [],
    fingerprint: '',
  })
  const sets = [
    set('A', '2026-01-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z'),
    set('B', '2026-02-01T00:00:00.000Z', '2026-04-01T00:00:00.000Z'),
  ]
  expect(commonRange(sets, ['A', 'B'], '1d')).toEqual({
    start: '2026-02-01T00:00:00.000Z',
    end: '2026-03-02T00:00:00.000Z',
  })
  expect(commonRange(sets, ['A', 'C'], '1d')).toBeNull()
  expect(commonRange(sets, [], '1d')).toBeNull()
})

test('an error below a shown field is placed at it', () => {
  expect(
    placeErrors(
      [
        { path: ['symbols', 0], message: 'unknown' },
        { path: 'config.x', message: 'extra' },
      ],
      ['symbols'],
    ),
  ).toEqual({
    symbols: 'unknown',
    'config.x': 'extra',
  })
})

test('symbols keep their order and their slash', () => {
  expect(symbolsOf('BTC/USD,  ETH/USD BTC/USD')).toEqual(['BTC/USD', 'ETH/USD'])
})
