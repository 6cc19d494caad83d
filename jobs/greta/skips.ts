/**
 * Why nothing was done: what the strategy gave to `skip()`, risk rules that refused, orders that the venue rejected. A
 * reason holds for many ticks on end, so ranges of ticks are kept and not the ticks. Bounded, whatever a strategy says.
 */
import type { SkipRow } from '../../db/walle/rows.ts'
import { iso } from './iso.ts'

export const SKIP_LIMITS = {
  /** Different texts of a strategy that are kept apart; the rest are one. */
  reasons: 200,
  /** Characters of a text that are kept and compared. */
  length: 200,
  /** A run may have this many ranges, and one more for so many ticks; then a reason's last range goes on with gaps. */
  ranges: 500,
  ticksPerRange: 50,
} as const

export const OTHER_REASONS = `(other reasons: this run gave more than ${SKIP_LIMITS.reasons} different ones)`

export type SkipKind = SkipRow['kind']

/** JSON, for a checkpoint. */
interface SkipRange extends Omit<SkipRow, 'run_id' | 'first_ts' | 'last_ts'> {
  first_ts: number
  last_ts: number
}

export interface SkipState {
  /** Of each reason the newest. */
  ranges: SkipRange[]
  next: number
}

export interface SkipLog {
  note(at: { tick: number; ts: number }, kind: SkipKind, reason: string, rule?: string | null): void
  /** Ranges that are new or have grown since the last take, by ordinal. */
  take(runId: string): SkipRow[]
  save(): SkipState
}

export function createSkipLog(state?: SkipState): SkipLog {
  const newest: Record<SkipKind, Map<string, SkipRange>> = { skipped: new Map(), risk: new Map(), rejected: new Map() }
  let next = state?.next ?? 0
  let touched = new Set<SkipRange>()
  for (const range of state?.ranges ?? []) newest[range.kind].set(range.reason, { ...range })

  const open = (known: Map<string, SkipRange>, range: SkipRange) => {
    known.set(range.reason, range)
    touched.add(range)
    next += 1
  }

  return {
    note({ tick, ts }, kind, said, rule = null) {
      const known = newest[kind]
      let reason = said.length > SKIP_LIMITS.length ? said.slice(0, SKIP_LIMITS.length) : said
      if (known.size >= SKIP_LIMITS.reasons && !known.has(reason)) reason = OTHER_REASONS
      const range = known.get(reason)
      if (range?.last_tick === tick) return
      const full = next >= SKIP_LIMITS.ranges + tick / SKIP_LIMITS.ticksPerRange
      if (range === undefined || (range.last_tick !== tick - 1 && !full)) {
        const [first_tick, first_ts] = [tick, ts]
        open(known, { ordinal: next, kind, rule, reason, first_tick, last_tick: tick, first_ts, last_ts: ts, ticks: 1 })
        return
      }
      range.last_tick = tick
      range.last_ts = ts
      range.ticks += 1
      touched.add(range)
    },
    take(runId) {
      const rows = [...touched]
        .sort((a, b) => a.ordinal - b.ordinal)
        .map((range) => ({ run_id: runId, ...range, first_ts: iso(range.first_ts), last_ts: iso(range.last_ts) }))
      touched = new Set()
      return rows
    },
    save: () => ({
      ranges: Object.values(newest).flatMap((known) => [...known.values()].map((one) => ({ ...one }))),
      next,
    }),
  }
}
