import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BARS_OF_AN_EVENT, partsOf } from './window_events.ts'

test('parts hold every bar once, in order, each part within its limit and none of them empty', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 8 }), (lengths) => {
      const parts = partsOf(lengths)
      const bars = parts
        .flat()
        .flatMap(({ window, from, to }) => Array.from({ length: to - from }, (_, n) => `${window}:${from + n}`))
      expect(bars).toEqual(lengths.flatMap((length, window) => Array.from({ length }, (_, bar) => `${window}:${bar}`)))
      for (const part of parts) {
        expect(part.length).toBeGreaterThan(0)
        expect(part.reduce((sum, { from, to }) => sum + to - from + 2, 0)).toBeLessThanOrEqual(BARS_OF_AN_EVENT)
      }
      const least = Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / (BARS_OF_AN_EVENT - 2))
      expect(parts.length).toBeLessThanOrEqual(least + 1 + Math.floor(lengths.length / 300))
    }),
    { numRuns: 60 },
  )
})
