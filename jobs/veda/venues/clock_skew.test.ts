import fc from 'fast-check'
import { expect, test } from 'vitest'
import { skewOf } from './clock_skew.ts'

const ms = fc.integer({ min: 0, max: 600_000 })

test('of clocks that agree none is ahead, however long the way was; a skew is never told larger than it is', () => {
  fc.assert(
    fc.property(ms, ms, ms, fc.integer({ min: -600_000, max: 600_000 }), (asked, there, back, ahead) => {
      const read = asked + there
      const found = skewOf(asked + ahead, read, read + back + ahead)
      expect(Math.abs(found)).toBeLessThanOrEqual(Math.abs(ahead))
      expect(Math.abs(found)).toBeGreaterThanOrEqual(Math.max(0, Math.abs(ahead) - there - back))
      if (found !== 0) expect(Math.sign(found)).toBe(Math.sign(ahead))
    }),
  )
})
