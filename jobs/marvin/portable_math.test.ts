import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as exponentials from './portable_math.ts'
import * as trigonometry from './portable_trigonometry.ts'

const FUNCTIONS = { ...exponentials, ...trigonometry }
type Name = keyof typeof FUNCTIONS
const NAMES = Object.keys(FUNCTIONS) as Name[]
const call = (name: Name, x: number, y = 0) => (FUNCTIONS[name] as (x: number, y: number) => number)(x, y)
const native = (name: Name, x: number, y = 0) => (Math[name] as (x: number, y: number) => number)(x, y)

const view = new DataView(new ArrayBuffer(8))

/** How many float64 lie between the two; 0 for two NaN, and for zeros of one sign. */
function apart(one: number, other: number): bigint {
  const place = (x: number) => {
    view.setFloat64(0, Number.isNaN(x) ? Number.NaN : x)
    const bits = view.getBigInt64(0)
    return bits < 0n ? -(bits & 0x7fffffffffffffffn) - 1n : bits
  }
  const difference = place(one) - place(other)
  return difference < 0n ? -difference : difference
}

describe.each(NAMES)('%s', (name) => {
  test('lies within two units in the last place of what the engine gives, for numbers of every size', () => {
    const sized = fc.oneof(fc.double(), fc.double({ min: -2, max: 2 }), fc.double({ min: -800, max: 800 }))
    fc.assert(
      fc.property(sized, sized, (x, y) => {
        expect(apart(call(name, x, y), native(name, x, y)) <= 2n).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})

test.each([
  ['exp', 1, Math.E],
  ['exp', 709.782712893384, 1.7976931348622732e308],
  ['exp', -745.1332191019411, 5e-324],
  ['log', 10, Math.LN10],
  ['log2', 2 ** -1074, -1074],
  ['log10', 1000, 3],
  ['log10', 1e15, 15],
  ['cbrt', -27, -3],
  ['sin', 1e22, -0.8522008497671888],
  ['cos', Math.PI, -1],
  // The float64 nearest to a multiple of pi / 2.
  ['cos', 6381956970095103 * 2 ** 797, -4.6871659242546277e-19],
  ['tan', Math.PI / 4, 0.9999999999999999],
  ['atan', Number.POSITIVE_INFINITY, Math.PI / 2],
  ['asin', -1, -Math.PI / 2],
  ['acos', -1, Math.PI],
  ['log1p', 1e-20, 1e-20],
  ['expm1', -1e-20, -1e-20],
  ['tanh', -0, -0],
] as const)('%s(%d) is %d', (name, x, value) => {
  expect(call(name, x)).toBe(value)
})
