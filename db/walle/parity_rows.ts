/** Rows of replays of paper and live runs (migration 015), in the notation of rows.ts. */
import type { Table } from './columns.ts'

/** The strategy of a paper or live run was spoken to. */
export interface HopRow {
  run_id: string
  /** Of what it was told. */
  event_id: string
  /** The newest tick: what it asks for counts as asked there. */
  bar_index: number
  phase: 'tick' | 'window' | 'tick_window' | 'order'
  /** Place in the log of the newest event of its run that the account it was shown had taken in. */
  seen: number
  /** Of its memory afterwards; null: windows came that it had not to be asked about. */
  memory_hash: string | null
}

export const HOPS: Table<HopRow> = {
  name: 'weaver.hops',
  columns: {
    run_id: 'uuid',
    event_id: 'uuid',
    bar_index: 'bigint',
    phase: 'text',
    seen: 'bigint',
    memory_hash: 'text',
  },
}

/**
 * `amended`: the run did what it was to do, on the bars and with the fees as they were then, and its venue told of some
 * otherwise afterwards, or a person closed a position of it.
 */
export type ParityVerdict = 'identical' | 'amended' | 'diverged'

export const PARITY_CLASSES = ['data', 'decision', 'order', 'fill', 'cost'] as const
export type ParityClass = (typeof PARITY_CLASSES)[number]

/** Something that the run did, or was given, and that the replay has otherwise. */
export interface ParityDifference {
  class: ParityClass
  /** Which kind of it, such as `late` or `memory`. */
  what: string
  bar_index: number | null
  /** ISO 8601: of the tick, or of what befell the order. */
  ts: string | null
  symbol: string | null
  order_id: string | null
  recorded: string | null
  expected: string | null
  cause: string
}

export interface ParityResult {
  verdict: ParityVerdict
  /** The earliest in the order of the log. */
  first_divergence: ParityDifference | null
  counts: Record<ParityClass, number>
  /** The earliest, in the order of the log; `differences_total` says how many there are. */
  differences: ParityDifference[]
  differences_total: number
  ticks: number
  orders: number
  fills: number
  /** Orders that the recorded bars do not reach far enough to be held against the fill model. */
  unjudged: number
  /** Boundary of the newest tick that was replayed. */
  through: string | null
  /** Of filled orders against what the run's fill model makes of the same bars; more is worse. */
  slippage: { orders: number; mean_bps: number | null; max_bps: number | null; cost: string }
  /** In quote currency, what was kept in kind at the price of its fill; by the fill model over the same orders. */
  fees: { booked: string; model: string }
  notes: string[]
}

/** The newest replay of a run. */
export interface ParityRow {
  run_id: string
  state: 'pending' | 'completed' | 'error'
  /** Fraction of the run's log. */
  progress: number
  tolerance_bps: number
  result: ParityResult | null
  error: string | null
  replayed_at: string | null
  created_at: string
  updated_at: string
}
