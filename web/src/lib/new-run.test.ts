import { expect, test } from 'vitest'
import {
  cloneOf,
  commonRange,
  exchangesFor,
  formOf,
  type NewRunForm,
  placeErrors,
  readNewRun,
  symbolsOf,
} from './new-run.ts'
import { formFields } from './schema-form.ts'
import type { Dataset, Run } from './types.ts'

const fields = formFields({ properties: { fast: { type: 'integer', minimum: 1, default: 10 } } })
const form: NewRunForm = {
  strategyId: 'sma_cross',
  mode: 'backtest',
  symbols: 'AAPL, MSFT AAPL',
  timeframe: '1d',
  start: '2026-01-01T00:00',
  end: '2026-02-01T12:30',
  cash: ' 100000.50 ',
  label: '',
  preset: 'weaver',
  commission: 'flat',
  fill: { slippage_bps: '2.5', commission_bps: '' },
  exchange: 'sim',
  missedTicks: 'skip',
  barWait: '',
  risk: {},
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

test('a paper run asks for an exchange and limits, and for nothing that only backtests have', () => {
  const paper: NewRunForm = {
    ...form,
    ...{ mode: 'paper', missedTicks: 'catch_up', barWait: '2000', label: ' try ' },
    risk: { max_order_notional: '1000', max_drawdown: ' ', symbol_allow_list: 'AAPL, MSFT' },
  }
  expect(readNewRun(paper, fields)).toEqual({
    errors: {},
    body: {
      ...{ strategy_id: 'sma_cross', mode: 'paper', symbols: ['AAPL', 'MSFT'], timeframe: '1d', exchange: 'sim' },
      ...{ missed_ticks: 'catch_up', bar_wait: 2000, config: { fast: 12 }, initial_cash: '100000.50', label: 'try' },
      risk: { max_order_notional: '1000', symbol_allow_list: ['AAPL', 'MSFT'] },
    },
  })
  const wrong = { ...paper, exchange: '', barWait: '1.5', risk: { max_open_orders: '0' } }
  expect(Object.keys(readNewRun(wrong, fields).errors).sort()).toEqual(['bar_wait', 'exchange', 'risk.max_open_orders'])
})

test('a schedule of commissions takes the place of the numbers', () => {
  const scheduled = { ...form, commission: 'alpaca_crypto', fill: { slippage_bps: '2', commission_bps: '5' } }
  expect(readNewRun(scheduled, fields).body.fill).toEqual({
    preset: 'weaver',
    commission: 'alpaca_crypto',
    slippage_bps: '2',
  })
})

test('what is emptied in the form of another run is told to the clone, which would keep it', () => {
  const source = {
    ...{ mode: 'backtest', strategy_id: 'sma_cross', symbols: ['AAPL'], timeframe: '1d', config: { fast: 12 } },
    ...{ start_time: '2026-01-01T00:00:00.000Z', end_time: '2026-02-01T00:00:00.000Z', initial_cash: '5', label: 'a' },
    ...{ fill: { preset: 'weaver', slippage_bps: '3' }, bar_wait_ms: 100 },
    ...{ risk: { max_position: 1, max_drawdown: 0.2 }, own_risk: { max_position: 2 } },
    ...{ missed_ticks: 'skip', exchange: null },
  } as unknown as Run
  const same = formOf(source, fields, 'paper', 'sim')
  expect(same).toMatchObject({ mode: 'paper', exchange: 'sim', barWait: '100', label: 'a' })
  // The installation's limits are not its own.
  expect([same.risk.max_position, same.risk.max_drawdown]).toEqual(['2', ''])
  const emptied = { ...same, risk: {}, barWait: '', label: '', params: { fast: '' } }
  const asked = cloneOf(source, readNewRun(emptied, fields).body, fields)
  expect(asked).toMatchObject({ label: '', bar_wait: 5000, config: { fast: 10 }, risk: { max_position: null } })
  expect(asked.fill).toBeUndefined()
  const again = formOf(source, fields, 'backtest', '')
  expect(cloneOf(source, readNewRun({ ...again, fill: {} }, fields).body, fields).fill).toMatchObject({
    slippage_bps: '0',
  })
})

test('an exchange with credentials comes before one without, and both before the simulator', () => {
  const one = (exchange: string, configured: string[]) => ({
    ...{ exchange, modes: exchange === 'sim' ? ['paper'] : ['paper', 'live'], configured, problems: [], accounts: [] },
  })
  const info = { trading: [one('sim', ['paper']), one('alpaca', []), one('other', ['paper'])] }
  expect(exchangesFor(info, 'paper').map(({ exchange, ready }) => [exchange, ready])).toEqual([
    ['other', true],
    ['sim', true],
    ['alpaca', false],
  ])
  expect(exchangesFor(info, 'live').map(({ exchange }) => exchange)).toEqual(['alpaca', 'other'])
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
