/** Positions with what they are worth: at the newest mark of a venue's stream, or at the closes of the run's newest tick. */
import type { Reader } from '../../database.ts'
import { selectList } from '../columns.ts'
import { ACCOUNT_POSITIONS, type AccountPositionRow } from '../live_rows.ts'
import type { PositionRow } from '../rows.ts'
import type { AccountName } from './accounts.ts'

interface Worth {
  /** Gained and not realised yet, at the price; null: none is known. */
  unrealised_pnl: string | null
  /** As of when the price is; null where nothing says. */
  marked_at: string | null
}

export type MarkedPosition = PositionRow & Worth

/** Of each position: `v.price`, as of `v.at`, and what it has gained by it. */
const PRICED = `weaver.positions p join weaver.runs r on r.id = p.run_id
  left join weaver.market_marks m on m.exchange = r.exchange and m.mode = r.mode and m.symbol = p.symbol
  left join lateral (
    select t.ts from weaver.clock_ticks t where t.run_id = p.run_id and t.done_at is not null order by t.ts desc limit 1
  ) tick on true
  cross join lateral (
    select case when is_newer then m.price else p.last_price::text::numeric end as price,
      case when is_newer then m.marked_at else tick.ts end as at
    from (select m.marked_at is not null and m.marked_at > coalesce(tick.ts, '-infinity') as is_newer) mark
  ) v
  cross join lateral (select p.qty * v.price - sign(p.qty) * coalesce(p.cost, abs(p.qty) * p.avg_price) as unrealised) pnl`

/** Of one run, or of all paper and live runs. */
export function listMarkedPositions(reader: Reader, runId?: string): Promise<MarkedPosition[]> {
  return reader.query<MarkedPosition>(
    `select p.run_id, p.symbol, p.qty, p.avg_price, p.cost, p.realised_pnl, v.price::float8 as last_price,
       pnl.unrealised as unrealised_pnl, v.at as marked_at
     from ${PRICED} where p.run_id = $1 or $1 is null and r.mode <> 'backtest' order by p.run_id, p.symbol`,
    [runId ?? null],
  )
}

/** `unrealised_pnl`: of what runs hold. What nobody's is cost something that nobody knows. */
export type MarkedAccountPosition = AccountPositionRow & Worth & { last_price: number | null }

/** Of one account, or of all. */
export function listMarkedAccountPositions(reader: Reader, name?: AccountName): Promise<MarkedAccountPosition[]> {
  return reader.query<MarkedAccountPosition>(
    `select ${selectList(ACCOUNT_POSITIONS, 'a')}, held.unrealised as unrealised_pnl,
       coalesce(held.price, am.price)::float8 as last_price, coalesce(held.at, am.marked_at) as marked_at
     from weaver.account_positions a
       left join weaver.market_marks am on am.exchange = a.exchange and am.mode = a.mode and am.symbol = a.symbol
       left join lateral (
         select sum(pnl.unrealised) as unrealised, max(v.at) as at,
           (array_agg(v.price order by v.at desc nulls last))[1] as price
         from ${PRICED} where p.symbol = a.symbol and p.qty <> 0 and r.exchange = a.exchange and r.mode = a.mode
       ) held on true
     where (a.exchange = $1 and a.mode = $2) or $1 is null order by a.exchange, a.mode, a.symbol`,
    [name?.exchange ?? null, name?.mode ?? null],
  )
}
