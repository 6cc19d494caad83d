/** I6: whatever a strategy looks at, in whichever of its methods, is the same in a backtest and in a paper run. */
import { expect, test } from 'vitest'
import { DECISIONS, selectList } from '../../db/walle/columns.ts'
import type { CandleColumns, DecisionRow } from '../../db/walle/rows.ts'
import { playHop } from '../../jobs/hosts/hop_play.ts'
import { defineStrategy, type StrategyDefinition, type TickContext, z } from '../../strategies/api.ts'
import { createTestDatabase } from '../support/database.ts'
import { mustGet, startLiveRun } from '../support/live_run.ts'
import { openLiveWorld } from '../support/live_world.ts'
import { playPure } from '../support/pure_run.ts'
import { createScriptedVenue } from '../support/scripted_venue.ts'
import { until } from '../support/until.ts'

const S = 'BTC/USD'
const CASH = '1000'
const CLOSES = [100, 101, 99, 104, 108, 103, 107, 112, 110, 115, 111, 118]
const BUY_AT = 4
const SELL_AT = 8
/** It fetches at every third tick, the first time when it has too few bars to decide. */
const FETCH_EVERY = 3
const FETCHED = 5

function look(ctx: TickContext<Record<string, never>, unknown>, method: string): void {
  const { length, time, open, high, low, close, volume } = ctx.window(S)
  ctx.log(method, {
    ...{ length, age: ctx.ts - (time.at(-1) ?? 0), close: [...close], bar: ctx.bar_index },
    ...{ rest: [open, high, low, volume].map((column) => [...column]), random: ctx.random() },
    ...{ cash: ctx.cash, equity: ctx.equity, ...ctx.position(S), open: ctx.openOrders().length },
  })
}

const curious = defineStrategy({
  ...{ id: 'curious', version: '1', description: 'For tests.', params: z.object({}), window: () => ({ bars: 3 }) },
  onTick(ctx) {
    look(ctx as never, 'tick')
    if (ctx.bar_index % FETCH_EVERY === 0) ctx.fetch({ symbol: S, timeframe: '1m', bars: FETCHED })
  },
  onWindow(ctx) {
    look(ctx as never, 'window')
    if (ctx.bar_index === BUY_AT) ctx.buy({ symbol: S, qty: '2', type: 'market' })
    else if (ctx.bar_index === SELL_AT) ctx.close(S)
    else ctx.skip('nothing to do')
  },
}) as unknown as StrategyDefinition

const said = (rows: readonly DecisionRow[]) =>
  rows.map(({ bar_index, logs, skips, intents }) => {
    return { bar_index, logs, skips, intents: intents.map(({ client_order_id: _, ...rest }) => rest) }
  })

function inBacktest() {
  const at = (values: (index: number) => number) => Float64Array.from(CLOSES, (_, index) => values(index))
  const close = at((index) => CLOSES[index] as number)
  const columns: CandleColumns = {
    time: at((n) => n * 60_000),
    open: close,
    high: close,
    low: close,
    close,
    volume: at(() => 1),
  }
  return said(playPure({ strategy: curious, columns, timeframe: '1m', cash: CASH, symbol: S }).decisions)
}

async function inPaper() {
  const database = await createTestDatabase()
  const venue = createScriptedVenue()
  const errors: string[] = []
  const world = await openLiveWorld({
    ...{ url: database.url, db: database.db, venue, onError: (message) => errors.push(message) },
    hop: async (_run, view) => playHop(curious, structuredClone(view)),
  })
  try {
    const { id } = await startLiveRun(database.db, 1, { window_bars: 3, initial_cash: CASH, seed: 0 })
    for (const [tick, price] of CLOSES.entries()) {
      // A market order of the tick before fills at the open of the bar after it.
      for (const { client_order_id, qty } of venue.submits.splice(0)) {
        await world.report(venue.fill(client_order_id, qty, String(price)))
      }
      world.bars(S, CLOSES.slice(0, tick + 1), tick)
      await world.tick([await mustGet(database.db, id)], tick)
      await until(`tick ${tick} to be done`, async () => {
        const { next_tick, open_corr_id } = await mustGet(database.db, id)
        const sent = tick !== BUY_AT && tick !== SELL_AT ? true : venue.submits.length === 1
        return sent && next_tick > tick && open_corr_id === null ? true : null
      })
    }
    const rows = await database.db.reader.query<DecisionRow>(
      `select ${selectList(DECISIONS)} from weaver.decisions where run_id = $1 order by bar_index, part`,
      [id],
    )
    expect(errors).toEqual([])
    return said(rows)
  } finally {
    await world.stop()
    await database.drop()
  }
}

test('a strategy that looks at everything in each of its methods notes the same in a backtest and in a paper run', async () => {
  const [backtest, paper] = [inBacktest(), await inPaper()]
  expect(paper).toEqual(backtest)
  expect(backtest.map(({ logs }) => logs.length)).toEqual(CLOSES.map((_, tick) => (tick < 2 ? 1 : 2)))
  const lengths = backtest.map(({ logs }) => (logs[1]?.data as { length: number } | undefined)?.length)
  expect(lengths).toEqual(
    CLOSES.map((_, tick) => (tick < 2 ? undefined : tick % FETCH_EVERY === 0 ? Math.min(FETCHED, tick + 1) : 3)),
  )
})
