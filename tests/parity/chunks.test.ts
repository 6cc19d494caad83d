/** I7: a run that is stopped anywhere and resumed from its stored checkpoint leaves what an undisturbed one leaves. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { playPure } from '../support/pure_run.ts'
import { hashOf, seededRun } from '../support/seeded.ts'

const CASES = Number(process.env.WEAVER_PARITY_CASES ?? 200)

test('any chunk sizes and kill points give the same orders, fills, trades, decisions, curve, events and hash', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 6 }), (seed, points) => {
      const run = { ...seededRun(seed, 80), audit: 'full' as const }
      const stops = [...new Set(points)].sort((a, b) => a - b)
      const whole = playPure(run)
      const resumed = playPure({ ...run, stops })
      expect(whole.failure).toBeNull()
      expect(resumed).toEqual(whole)
      expect(hashOf(resumed)).toBe(hashOf(whole))
    }),
    { numRuns: CASES },
  )
})

test('the audit changes what is told and nothing of what is done', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), (seed) => {
      const run = seededRun(seed, 60)
      const { events: everything, ...full } = playPure({ ...run, audit: 'full' })
      const { events: some, ...acted } = playPure({ ...run, audit: 'acted' })
      const { events: none, ...summary } = playPure({ ...run, audit: 'summary' })
      expect(acted).toEqual(full)
      expect(summary).toEqual(full)
      expect(none).toEqual([])
      const told = new Map(everything.map((event) => [event.id, event]))
      for (const event of some) expect(event).toEqual(told.get(event.id))
    }),
    { numRuns: CASES / 4 },
  )
})

test('another run of the same inputs has other ids and the same hash', () => {
  const run = { ...seededRun(7, 60), audit: 'full' as const }
  const one = playPure(run)
  const other = playPure({ ...run, runId: '11111111-2222-4333-8444-555555555555' })
  expect(hashOf(other)).toBe(hashOf(one))
  expect(other.events[0]?.id).not.toBe(one.events[0]?.id)
})
