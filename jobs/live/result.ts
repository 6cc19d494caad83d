/** What a paper or live run amounts to so far, from what it has stored. */
import type { Reader } from '../../db/database.ts'
import type { LogEvent } from '../../db/events/envelope.ts'
import { getEvent } from '../../db/events/read.ts'
import type { Outcome } from '../../db/walle/outcome.ts'
import { isFillEvent } from '../../db/walle/projections/fills.ts'
import { getRunLedger } from '../../db/walle/queries/live_runs.ts'
import { listFills, listPositions, listTrades, readEquity } from '../../db/walle/queries/results.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { type Json, TIMEFRAME_MS } from '../../strategies/api.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { calendarOf, computeStats } from '../greta/stats.ts'
import { openTradesOf, type TradeMatcherState } from '../greta/trades.ts'

/** The last point of a curve, where it is not stored yet. */
export interface CurvePoint {
  ts: number
  equity: number
  exposure: number
}

/** Null before its first tick was done. */
export async function liveStats(
  reader: Reader,
  run: RunRow,
  newest: CurvePoint | null = null,
): Promise<Record<string, Json> | null> {
  const ledger = await getRunLedger(reader, run.id)
  const curve = await readEquity(reader, run.id)
  const points = newest === null ? [] : [newest]
  const column = (name: keyof CurvePoint) => Float64Array.of(...points.map((point) => point[name]))
  if (ledger === null || curve.ts.length + points.length === 0) return null
  const positions = await listPositions(reader, run.id)
  const fills = await listFills(reader, run.id)
  const equity = positions.reduce(
    (sum, { qty, avg_price, last_price }) => sum.plus(new Decimal(qty).times(String(last_price ?? avg_price))),
    new Decimal(ledger.cash),
  )
  const { cautions: _, ...stats } = computeStats({
    initialCash: run.initial_cash,
    finalEquity: equity.toString(),
    ts: joined(curve.ts, column('ts')),
    equity: joined(curve.equity, column('equity')),
    exposure: joined(curve.exposure, column('exposure')),
    timeframeMs: TIMEFRAME_MS[run.timeframe],
    trades: await listTrades(reader, run.id),
    fees: ledger.fees,
    turnover: ledger.turnover,
    slippage: fills.reduce((sum, { slippage }) => sum.plus(slippage), ZERO).toString(),
    openTrades: ledger.trade_matcher === null ? 0 : openTradesOf(ledger.trade_matcher as unknown as TradeMatcherState),
    ambiguousBars: 0,
    ambiguousTrades: 0,
    calendar: calendarOf(run.symbols),
  })
  return stats as unknown as Record<string, Json>
}

/** `gross`: what all positions are worth, whichever side. */
export function curvePoint(ts: number, { equity, gross }: { equity: number; gross: number }): CurvePoint {
  return { ts, equity, exposure: gross === 0 || equity === 0 ? 0 : gross / equity }
}

/**
 * A run that has ended filled an order all the same, an exit or what a person closes: its curve and its statistics take that in,
 * in the transaction of the caller, who holds its lock.
 */
export async function tradedAfterEnd(tx: Reader, run: RunRow, eventId: string): Promise<Outcome> {
  const event = (await getEvent(tx, eventId)) as LogEvent | null
  const ledger = event !== null && isFillEvent(event) ? await getRunLedger(tx, run.id) : null
  if (event === null || ledger === null) return { writes: [], events: [] }
  const [curve, positions] = await Promise.all([readEquity(tx, run.id), listPositions(tx, run.id)])
  const values = positions.map(({ qty, avg_price, last_price }) => Number(qty) * (last_price ?? Number(avg_price)))
  const equity = values.reduce((sum, value) => sum + value, Number(ledger.cash))
  const gross = values.reduce((sum, value) => sum + Math.abs(value), 0)
  const point = curvePoint(Date.parse(event.ts), { equity, gross })
  const isNewer = point.ts > (curve.ts.at(-1) ?? Number.POSITIVE_INFINITY)
  const stats = await liveStats(tx, run, isNewer ? point : null)
  return {
    writes: [
      // Beyond all ticks.
      ...(isNewer
        ? [{ kind: 'add_equity', run_id: run.id, tick: run.next_tick + curve.ts.length, point } as const]
        : []),
      { kind: 'update_run', id: run.id, changes: { stats } },
    ],
    events: [],
  }
}

function joined(one: Float64Array, other: Float64Array): Float64Array {
  const all = new Float64Array(one.length + other.length)
  all.set(one)
  all.set(other, one.length)
  return all
}
