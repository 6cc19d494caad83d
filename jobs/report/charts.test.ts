import { cumsum } from 'd3-array'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histogram, scatter, timeChart } from './charts.ts'

const FRAME = { caption: 'c', told: 't' }
const label = (value: number) => String(value)
/** Everything that an SVG may choke on. */
const UNDRAWABLE = /NaN|Infinity|undefined|null|="-\d[^"]*" (height|y)|width="-|height="-/

const anything = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: -1e9, max: 1e9, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, Number.NaN, Number.POSITIVE_INFINITY, 1e-300, 1e300) },
)

test('whatever the values, a line is drawn with numbers', () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 30 }), fc.boolean(), (values, filled) => {
      const times = values.map((_, index) => Date.UTC(2024, 0, 1) + index * 3_600_000)
      const drawn = timeChart({ ...FRAME, filled }, times, [{ name: 'n', values, look: 'own' }], label)
      expect(String(drawn)).not.toMatch(UNDRAWABLE)
    }),
    { examples: [[[-2.47e-322], false]] },
  )
})

test('bars stand on the bottom, however narrow', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.double({ min: 1e-6, max: 1, noNaN: true }), fc.nat(50)), { minLength: 1 }),
      (parts) => {
        const edges = [0, ...cumsum(parts, ([width]) => width)].map((edge) => edge - 0.5)
        const bars = parts.map(([, count], at) => ({ from: edges[at] as number, to: edges[at + 1] as number, count }))
        expect(String(histogram(FRAME, bars, label))).not.toMatch(UNDRAWABLE)
      },
    ),
  )
})

test('dots keep their places', () => {
  const dots = [
    { x: 0, y: 0, look: 'up' as const },
    { x: 1, y: 2, look: 'down' as const },
  ]
  const drawn = String(scatter(FRAME, dots, label))
  // 0 lies at the left and at the bottom, the furthest at the right and at the top
  expect(drawn).toContain('class="dots up" d="M0.0 300.0h0"')
  expect(drawn).toContain('class="dots down" d="M1000.0 0.0h0"')
  expect(String(scatter(FRAME, [], label))).not.toMatch(UNDRAWABLE)
})

test('captions are text', () => {
  const drawn = String(
    timeChart({ caption: '<b>', told: '"><script>' }, [0, 1], [{ name: '<i>', values: [1, 2], look: 'own' }], label),
  )
  expect(drawn).not.toMatch(/<b>|<script|<i>/)
})
