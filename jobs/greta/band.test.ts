import { expect, test } from 'vitest'
import { playScript } from '../../tests/support/scripted.ts'
import { bandModels } from './band.ts'
import { type FillModel, fillRequestSchema, resolveFillModel } from './fill_model.ts'

const model = (request: object) => resolveFillModel(fillRequestSchema.parse(request))

test('every assumption goes with every other, the own ones come first and once', () => {
  const own = model({ slippage_bps: '3', limit_fill: 'touch', commission_bps: '7' })
  const models = bandModels(own, false)
  expect(models[0]).toEqual(own)
  expect(models).toHaveLength(12)
  const names = models.map(
    ({ limit_fill, market_fill, slippage_bps }) => `${limit_fill} ${market_fill} ${slippage_bps}`,
  )
  expect(new Set(names).size).toBe(12)
  expect(new Set(models.map(({ slippage_bps }) => slippage_bps))).toEqual(new Set(['0', '3', '6']))
  for (const { limit_fill, market_fill, slippage_bps, ...rest } of models) {
    const { limit_fill: _limit, market_fill: _market, slippage_bps: _slippage, ...same } = own
    expect(rest).toEqual(same)
  }
})

test('a model stored before the band had rules of its own has the rules of then', () => {
  const { market_fill: _market, ambiguous_bar: _ambiguous, ...old } = model({})
  expect(bandModels(old as FillModel, true)).toEqual(bandModels(model({}), true))
})

test('without slippage five and ten basis points are tried, however nothing is written', () => {
  for (const slippage_bps of ['0', '0.00']) {
    const models = bandModels(model({ slippage_bps }), false)
    expect(models).toHaveLength(12)
    expect(models.filter((one) => Number(one.slippage_bps) === 5)).toHaveLength(4)
    expect(models.filter((one) => Number(one.slippage_bps) === 10)).toHaveLength(4)
  }
})

test('where bars were ambiguous the other exit is taken first, under the own rules', () => {
  const own = model({ slippage_bps: '3' })
  expect(bandModels(own, true).at(-1)).toEqual({ ...own, ambiguous_bar: 'take_profit' })
  expect(bandModels(own, true)).toHaveLength(13)
})

const BARS = [
  [100, 101, 99, 100],
  [102, 106, 101, 104],
  [105, 112, 93, 108],
  [109, 110, 107, 109],
] as const

test.each([
  ['next_open', [{ bar: 1, price: '102' }]],
  ['next_close', [{ bar: 1, price: '104' }]],
] as const)('a market order fills at the %s', (market_fill, fills) => {
  const played = playScript({ bars: BARS, at: { 0: [{ side: 'buy', qty: '1' }] }, rules: { market_fill } })
  expect(played.fills).toMatchObject(fills)
})

test('at the close means after everything else in the bar: exits of an entry there wait for the next bar', () => {
  const at = { 0: [{ side: 'buy' as const, qty: '1', stop_loss: '101.5', take_profit: '111' }] }
  const played = playScript({ bars: BARS, at, rules: { market_fill: 'next_close' } })
  expect(played.fills).toMatchObject([
    { bar: 1, side: 'buy', price: '104' },
    { bar: 2, side: 'sell', price: '101.5' },
  ])
})

test.each([
  ['stop_loss', '95'],
  ['take_profit', '110'],
] as const)('in a bar that holds both exits the %s is taken first where that is assumed', (ambiguous_bar, price) => {
  const at = { 0: [{ side: 'buy' as const, qty: '1', stop_loss: '95', take_profit: '110' }] }
  const played = playScript({ bars: BARS, at, rules: { ambiguous_bar } })
  expect(played.fills).toMatchObject([
    { bar: 1, price: '102' },
    { bar: 2, side: 'sell', price },
  ])
})
