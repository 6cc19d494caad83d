/**
 * I8: a backtest hop by hop through real jobs leaves the same rows, ids, events and hash as one in chunks.
 * `WEAVER_CHAIN_SEEDS=20` tries as many.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listOrders } from '../../db/walle/queries/orders.ts'
import { listFills, listTrades, pageDecisions, readEquity } from '../../db/walle/queries/results.ts'
import type { RunRow, SkipRow, TimelineRow } from '../../db/walle/rows.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'
import { playPure } from '../support/pure_run.ts'
import { hashOf, seededRun } from '../support/seeded.ts'

const SEEDS = Number(process.env.WEAVER_CHAIN_SEEDS ?? 3)
const BARS = 60
const ALL = { page: 1, page_size: 1000 }

let weaver: InProcess
beforeAll(async () => {
  weaver = await openInProcess()
})
afterAll(async () => {
  await weaver.close()
})

async function told(run: RunRow): Promise<unknown[]> {
  const rows = await weaver.system.db.reader.query<{ payload: Record<string, unknown> }>(
    "select payload from weaver.outbox where run_id = $1 and type not like 'run.%' order by id",
    [run.id],
  )
  return rows.map(({ payload }) => payload)
}

async function stored(run: RunRow) {
  const { reader } = weaver.system.db
  return {
    orders: (await listOrders(reader, { run_id: run.id, ...ALL })).items.sort((a, b) => a.ordinal - b.ordinal),
    fills: await listFills(reader, run.id),
    timeline: (await pageDecisions(reader, run.id, ALL)).items,
    trades: await listTrades(reader, run.id),
    curve: await readEquity(reader, run.id),
  }
}

const bySkip = (a: SkipRow, b: SkipRow) => a.first_tick - b.first_tick || a.ordinal - b.ordinal

/** A range of ticks as the list of decisions has it. */
function shown({ first_tick, first_ts, last_tick, reason, ordinal, ...rest }: SkipRow): Partial<TimelineRow> {
  return { ...rest, bar_index: first_tick, ts: first_ts, last_bar_index: last_tick, skips: [reason] }
}

test.each(Array.from({ length: SEEDS }, (_, index) => index + 1))(
  'seed %i: chain and chunk, through real jobs and pure, agree about everything',
  async (seed) => {
    const { strategy, params, columns, timeframe, fill, seed: runSeed } = seededRun(seed * 7919, BARS)
    const symbol = `SEED${seed}/USD`
    await weaver.store(symbol, timeframe, columns)
    const request = { strategy_id: strategy.id, symbols: [symbol], timeframe, config: params, fill, seed: runSeed }
    const chain = await weaver.backtest({ ...request, driver: 'chain' }, columns)
    const chunk = await weaver.backtest({ ...request, audit: 'full' }, columns)
    expect([chain.status, chain.error, chunk.status, chunk.error]).toEqual(['completed', null, 'completed', null])
    expect(chain.result_hash).toBe(chunk.result_hash)

    for (const run of [chain, chunk]) {
      const pure = playPure({
        strategy,
        params,
        columns,
        symbol,
        timeframe,
        fill,
        seed: runSeed,
        audit: 'full',
        cash: '100000',
        runId: run.id,
      })
      const rows = await stored(run)
      expect(hashOf(pure)).toBe(run.result_hash)
      expect(rows.orders).toEqual([...pure.newOrders].sort((a, b) => a.ordinal - b.ordinal))
      expect(rows.fills).toEqual(pure.fills)
      const decided = pure.decisions.map(({ part, ...decision }) => decision)
      expect(rows.timeline.filter(({ id }) => id !== null)).toMatchObject(decided)
      expect(rows.timeline.filter(({ id }) => id === null)).toMatchObject(pure.skips.toSorted(bySkip).map(shown))
      expect(rows.trades).toEqual(pure.trades)
      expect(rows.curve).toEqual(pure.curve)
      const events = await told(run)
      expect(events).toEqual(pure.events.map((event) => expect.objectContaining(event)))
    }
  },
  90_000,
)
