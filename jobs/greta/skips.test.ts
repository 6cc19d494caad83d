import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SkipRow } from '../../db/walle/rows.ts'
import { createSkipLog, OTHER_REASONS, SKIP_LIMITS, type SkipLog } from './skips.ts'

const RUN = '00000000-0000-4000-8000-000000000001'
const at = (tick: number) => ({ tick, ts: Date.UTC(2024, 0, 1) + tick * 60_000 })
const short = ({ reason, first_tick, last_tick, ticks }: SkipRow) => [reason, first_tick, last_tick, ticks]

function merged(rows: readonly SkipRow[]): SkipRow[] {
  return [...new Map(rows.map((row) => [row.ordinal, row])).values()].sort((a, b) => a.ordinal - b.ordinal)
}

test('ticks on end with one reason are one range, a tick with two reasons is in both', () => {
  const log = createSkipLog()
  for (const tick of [3, 4, 5]) log.note(at(tick), 'skipped', 'flat market')
  log.note(at(5), 'skipped', 'flat market')
  log.note(at(5), 'skipped', 'no cash')
  log.note(at(7), 'skipped', 'flat market')
  log.note(at(7), 'risk', 'max_open_orders', 'max_open_orders')
  expect(log.take(RUN)).toEqual([
    {
      run_id: RUN,
      ordinal: 0,
      kind: 'skipped',
      rule: null,
      reason: 'flat market',
      first_tick: 3,
      last_tick: 5,
      first_ts: '2024-01-01T00:03:00.000Z',
      last_ts: '2024-01-01T00:05:00.000Z',
      ticks: 3,
    },
    expect.objectContaining({ ordinal: 1, reason: 'no cash', first_tick: 5, last_tick: 5, ticks: 1 }),
    expect.objectContaining({ ordinal: 2, reason: 'flat market', first_tick: 7, ticks: 1 }),
    expect.objectContaining({ ordinal: 3, kind: 'risk', rule: 'max_open_orders', first_tick: 7 }),
  ])
  expect(log.take(RUN)).toEqual([])
})

test('a range that goes on after a take is given again, grown', () => {
  const log = createSkipLog()
  log.note(at(1), 'skipped', 'wait')
  expect(log.take(RUN).map(short)).toEqual([['wait', 1, 1, 1]])
  log.note(at(2), 'skipped', 'wait')
  expect(log.take(RUN).map(short)).toEqual([['wait', 1, 2, 2]])
})

test('a strategy that words every tick anew has its first reasons, and one for all others', () => {
  const log = createSkipLog()
  const ticks = SKIP_LIMITS.reasons + 1000
  for (let tick = 0; tick < ticks; tick++) log.note(at(tick), 'skipped', `rsi ${tick}`)
  const rows = log.take(RUN)
  expect(rows).toHaveLength(SKIP_LIMITS.reasons + 1)
  expect(rows.at(-1)).toMatchObject({ reason: OTHER_REASONS, first_tick: SKIP_LIMITS.reasons, ticks: 1000 })
})

test('reasons that take turns cost a range for so many ticks, and no tick is lost', () => {
  const log = createSkipLog()
  const ticks = 100_000
  for (let tick = 0; tick < ticks; tick++) log.note(at(tick), 'skipped', tick % 2 === 0 ? 'even' : 'odd')
  const rows = log.take(RUN)
  expect(rows.length).toBeLessThanOrEqual(SKIP_LIMITS.ranges + ticks / SKIP_LIMITS.ticksPerRange + 1)
  for (const [reason, count] of [
    ['even', ticks / 2],
    ['odd', ticks / 2],
  ] as const) {
    const own = rows.filter((row) => row.reason === reason)
    expect(own.reduce((sum, row) => sum + row.ticks, 0)).toBe(count)
  }
})

test('a text is kept to its limit', () => {
  const log = createSkipLog()
  log.note(at(0), 'skipped', 'x'.repeat(SKIP_LIMITS.length + 1))
  log.note(at(1), 'skipped', 'x'.repeat(SKIP_LIMITS.length + 2))
  expect(log.take(RUN).map(short)).toEqual([['x'.repeat(SKIP_LIMITS.length), 0, 1, 2]])
})

test('wherever the log is saved, taken and restored, the same ranges come of it', () => {
  const said = fc.array(fc.record({ gap: fc.nat(2), reason: fc.constantFrom('a', 'b', 'c') }), { maxLength: 60 })
  fc.assert(
    fc.property(said, fc.array(fc.nat(60), { maxLength: 5 }), (notes, stops) => {
      const whole = createSkipLog()
      let parts: SkipLog = createSkipLog()
      const taken: SkipRow[] = []
      let tick = 0
      notes.forEach(({ gap, reason }, index) => {
        tick += gap
        whole.note(at(tick), 'skipped', reason)
        if (stops.includes(index)) {
          taken.push(...parts.take(RUN))
          parts = createSkipLog(JSON.parse(JSON.stringify(parts.save())))
        }
        parts.note(at(tick), 'skipped', reason)
      })
      taken.push(...parts.take(RUN))
      expect(merged(taken)).toEqual(whole.take(RUN))
    }),
  )
})
