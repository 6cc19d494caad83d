import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TIMEFRAME_MS, TIMEFRAMES, type Timeframe } from '../../strategies/api.ts'
import {
  decideTicks,
  dueBoundaries,
  latestEmission,
  MOST_AT_ONCE,
  MOST_CAUGHT_UP,
  newestBoundary,
  nextBoundary,
  type TickState,
} from './boundaries.ts'

const at = (text: string): number => Date.parse(text)
const iso = (time: number): string => new Date(time).toISOString().slice(0, 16)
const timeframes = fc.constantFrom(...TIMEFRAMES)
/** With leap days, changes of the clocks, and both ends of the calendar's years. */
const moments = fc.integer({ min: Date.UTC(1989, 11, 1), max: Date.UTC(2031, 1, 1) })
const within = (symbols: string[], timeframe: Timeframe, after: string, upTo: string) =>
  dueBoundaries(symbols, timeframe, { after: at(after), upTo: at(upTo), most: 100_000 })

test.each<[Timeframe, string, string]>([
  ['1m', '2024-02-29T23:59:59.999Z', '2024-03-01T00:00'],
  ['1m', '2024-03-01T00:00:00.000Z', '2024-03-01T00:01'],
  ['15m', '2024-03-10T06:59:00.000Z', '2024-03-10T07:00'],
  ['4h', '2024-03-01T00:00:00.000Z', '2024-03-01T04:00'],
  ['4h', '2024-03-01T21:13:00.000Z', '2024-03-02T00:00'],
  ['1d', '2024-02-28T00:00:00.000Z', '2024-02-29T00:00'],
  ['1d', '2023-12-31T12:00:00.000Z', '2024-01-01T00:00'],
])('the next boundary of %s after %s is %s', (timeframe, time, next) => {
  expect(iso(nextBoundary(timeframe, at(time)))).toBe(next)
})

test('the next boundary lies on the grid, strictly after, and nothing lies between', () => {
  fc.assert(
    fc.property(timeframes, moments, (timeframe, time) => {
      const step = TIMEFRAME_MS[timeframe]
      const next = nextBoundary(timeframe, time)
      expect(next % step).toBe(0)
      expect(next).toBeGreaterThan(time)
      expect(next - time).toBeLessThanOrEqual(step)
      expect(newestBoundary(timeframe, next)).toBe(next)
      expect(newestBoundary(timeframe, next - 1)).toBe(next - step)
    }),
  )
})

describe('what is due', () => {
  test('of a 24/7 symbol every boundary, whatever else the run trades', () => {
    expect(within(['AAPL', 'BTC/USD'], '1h', '2024-07-04T22:00:00Z', '2024-07-05T01:00:00Z').map(iso)).toEqual([
      '2024-07-04T23:00',
      '2024-07-05T00:00',
      '2024-07-05T01:00',
    ])
  })

  test('of an equity what closes a bar of a session: half days, holidays and New York’s clocks count', () => {
    const edges = (date: string, timeframe: Timeframe) => {
      const due = within(['AAPL'], timeframe, `${date}T08:00:00Z`, `${date}T23:59:59Z`)
      return [due.length, due[0] === undefined ? '' : iso(due[0]), iso(due.at(-1) ?? 0)]
    }
    expect(edges('2024-03-08', '1m')).toEqual([390, '2024-03-08T14:31', '2024-03-08T21:00'])
    expect(edges('2024-03-11', '1m')).toEqual([390, '2024-03-11T13:31', '2024-03-11T20:00'])
    expect(edges('2024-07-03', '1m')).toEqual([210, '2024-07-03T13:31', '2024-07-03T17:00'])
    expect(edges('2024-07-03', '1h')).toEqual([4, '2024-07-03T14:00', '2024-07-03T17:00'])
    expect(edges('2024-07-04', '1m')[0]).toBe(0)
    expect(edges('2024-07-06', '1m')[0]).toBe(0)
    // The bar that holds the close of a winter day closes at midnight.
    expect(within(['AAPL'], '4h', '2024-01-02T00:00:00Z', '2024-01-03T12:00:00Z').map(iso)).toEqual([
      '2024-01-02T16:00',
      '2024-01-02T20:00',
      '2024-01-03T00:00',
    ])
  })

  test('of an equity’s day bars the midnight after each session', () => {
    expect(within(['AAPL'], '1d', '2024-07-02T00:00:00Z', '2024-07-09T00:00:00Z').map(iso)).toEqual([
      '2024-07-03T00:00',
      '2024-07-04T00:00',
      '2024-07-06T00:00',
      '2024-07-09T00:00',
    ])
  })

  test('beyond the years of the calendar, all', () => {
    expect(within(['AAPL'], '1d', '2031-01-03T00:00:00Z', '2031-01-06T00:00:00Z')).toHaveLength(3)
  })

  test('two stretches give together what the whole gives, ascending and each once', () => {
    const symbols = fc.constantFrom(['AAPL'], ['BTC/USD'], ['AAPL', 'MSFT'])
    fc.assert(
      fc.property(
        symbols,
        timeframes,
        moments,
        fc.array(fc.nat({ max: 3 * 86_400_000 }), { maxLength: 4 }),
        (...given) => {
          const [symbols, timeframe, start, lengths] = given
          const cuts = [start]
          for (const length of lengths) cuts.push((cuts.at(-1) as number) + length)
          const end = cuts.at(-1) as number
          const pieces = cuts
            .slice(1)
            .flatMap((upTo, index) =>
              dueBoundaries(symbols, timeframe, { after: cuts[index] as number, upTo, most: 100_000 }),
            )
          // Across the last known moment the calendar answers differently for a part than for the whole.
          fc.pre(symbols[0] === 'BTC/USD' || end < Date.UTC(2031, 0, 1) || start > Date.UTC(2031, 0, 1))
          fc.pre(symbols[0] === 'BTC/USD' || start > Date.UTC(1990, 0, 3) || end < Date.UTC(1989, 11, 30))
          expect(pieces).toEqual(dueBoundaries(symbols, timeframe, { after: start, upTo: end, most: 100_000 }))
          expect(new Set(pieces).size).toBe(pieces.length)
          expect(pieces.every((time) => time > start && time <= end && time % TIMEFRAME_MS[timeframe] === 0)).toBe(true)
        },
      ),
    )
  })
})

describe('what becomes of it', () => {
  const T = at('2024-01-02T00:00:00Z')
  const MINUTE = 60_000
  const state = (changes: Partial<TickState> = {}): TickState => ({
    symbols: ['BTC/USD'],
    timeframe: '1m',
    missed_ticks: 'skip',
    last: T,
    busy: false,
    ...changes,
  })

  test('a boundary is emitted once it is reached, and until a tenth of its timeframe has passed', () => {
    expect(decideTicks(state(), T + MINUTE - 1)).toEqual({ missed: [], emit: null, behind: false })
    expect(decideTicks(state(), T + MINUTE)).toEqual({ missed: [], emit: T + MINUTE, behind: false })
    expect(decideTicks(state(), T + MINUTE + 6_000).emit).toBe(T + MINUTE)
    expect(decideTicks(state(), T + MINUTE + 6_001)).toEqual({
      missed: [{ ts: T + MINUTE, reason: 'late' }],
      emit: null,
      behind: false,
    })
    expect(latestEmission('1d')).toBe(8_640_000)
  })

  test('skip: what is older is missed, and so is what comes while a tick is under way', () => {
    expect(decideTicks(state(), T + 3 * MINUTE + 10)).toEqual({
      missed: [
        { ts: T + MINUTE, reason: 'late' },
        { ts: T + 2 * MINUTE, reason: 'late' },
      ],
      emit: T + 3 * MINUTE,
      behind: false,
    })
    expect(decideTicks(state({ busy: true }), T + MINUTE)).toEqual({
      missed: [{ ts: T + MINUTE, reason: 'busy' }],
      emit: null,
      behind: false,
    })
  })

  test('catch up: one after the other, oldest first, each when the one before is done', () => {
    const behind = state({ missed_ticks: 'catch_up' })
    expect(decideTicks(behind, T + 3 * MINUTE + 30_000)).toEqual({ missed: [], emit: T + MINUTE, behind: true })
    expect(decideTicks({ ...behind, busy: true }, T + 3 * MINUTE)).toEqual({ missed: [], emit: null, behind: true })
    expect(decideTicks({ ...behind, last: T + 2 * MINUTE }, T + 3 * MINUTE)).toEqual({
      missed: [],
      emit: T + 3 * MINUTE,
      behind: false,
    })
  })

  test('catch up has an end: what is older than a thousand ticks is missed', () => {
    const { missed, emit } = decideTicks(state({ missed_ticks: 'catch_up' }), T + (MOST_CAUGHT_UP + 5) * MINUTE)
    expect([missed.length, emit]).toEqual([5, T + 6 * MINUTE])
  })

  test('after a year nobody holds all of it in memory', () => {
    const { missed, emit, behind } = decideTicks(state(), T + 365 * 1440 * MINUTE)
    expect([missed.length, emit, behind]).toEqual([MOST_AT_ONCE - MOST_CAUGHT_UP, null, true])
  })

  test('whatever the wall clock does, each boundary is dealt with once, in order, and none is left out', () => {
    const steps = fc.array(fc.record({ by: fc.integer({ min: -200_000, max: 400_000 }), done: fc.boolean() }), {
      minLength: 1,
      maxLength: 60,
    })
    fc.assert(
      fc.property(fc.constantFrom('skip', 'catch_up'), steps, (missed_ticks, steps) => {
        let now = T
        let latest = T
        let current = state({ missed_ticks })
        const seen: number[] = []
        for (const { by, done } of steps) {
          now += by
          if (done) current = { ...current, busy: false }
          const { missed, emit } = decideTicks(current, now)
          const emitted = emit === null ? [] : [emit]
          if (emit !== null) expect(current.busy).toBe(false)
          if (emit !== null && missed_ticks === 'skip') expect(now - emit).toBeLessThanOrEqual(latestEmission('1m'))
          seen.push(...missed.map(({ ts }) => ts), ...emitted)
          latest = Math.max(latest, now)
          current = { ...current, busy: current.busy || emit !== null, last: seen.at(-1) ?? T }
        }
        const all = dueBoundaries(['BTC/USD'], '1m', { after: T, upTo: latest, most: 100_000 })
        expect(seen).toEqual(all.slice(0, seen.length))
        if (missed_ticks === 'skip') expect(seen).toHaveLength(all.length)
      }),
    )
  })
})
