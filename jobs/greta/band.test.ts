import { expect, test } from 'vitest'
import { bandModels } from './band.ts'
import { fillRequestSchema, resolveFillModel } from './fill_model.ts'

const model = (request: object) => resolveFillModel(fillRequestSchema.parse(request))

test('every assumption goes with every other, the own ones come first and once', () => {
  const own = model({ slippage_bps: '3', limit_fill: 'touch', commission_bps: '7' })
  const models = bandModels(own, false)
  expect(models[0]).toBe(own)
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
