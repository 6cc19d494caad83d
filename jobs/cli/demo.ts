/**
 * What there is to see on the first boot: generated candles of DEMO/USD, a backtest on them, and a paper run at the
 * simulator, which ticks each minute until somebody stops it.
 */

import { generateCandles } from '../../db/walle/generate.ts'
import { candleRange } from '../../db/walle/queries/candles.ts'
import { listRuns } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import type { Control } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import type { RunRequest } from '../glados/commands.ts'
import type { System } from '../system.ts'

const SYMBOL = 'DEMO/USD'
const TIMEFRAME = '1h'
const START = Date.UTC(2024, 0, 1)
const BARS = 8_784
const SEED = 42
const SIMULATOR = 'sim'

/** Does nothing where anything is stored already: what was stopped or deleted does not come back. */
export async function loadDemo(
  { db }: Pick<System, 'db'>,
  { commands, venues }: Pick<Control, 'commands' | 'venues'>,
): Promise<void> {
  const { items } = await listRuns(db.reader, { page: 1, page_size: 1 })
  if (items.length > 0 || (await candleRange(db.reader, SYMBOL, TIMEFRAME))) return
  const candles = generateCandles({
    timeframe: TIMEFRAME,
    start: START,
    bars: BARS,
    seed: SEED,
    startPrice: 100,
    volatility: 0.004,
  })
  await db.write((tx) =>
    record(tx, { writes: [{ kind: 'store_candles', symbol: SYMBOL, timeframe: TIMEFRAME, candles }], events: [] }),
  )
  const corr = { corrId: wallClock.newId() }
  const requests: RunRequest[] = [backtest()]
  if (venues.configured().some(({ exchange, mode }) => exchange === SIMULATOR && mode === 'paper'))
    requests.push(paper())
  for (const request of requests) {
    const run = await commands.createRun(request, corr)
    await commands.startRun(run.id, corr)
  }
}

function backtest(): RunRequest {
  return {
    strategy_id: 'sma_cross',
    mode: 'backtest',
    symbols: [SYMBOL],
    timeframe: TIMEFRAME,
    start_time: new Date(START).toISOString(),
    end_time: new Date(START + BARS * TIMEFRAME_MS[TIMEFRAME]).toISOString(),
    config: { qty: '100' },
    label: 'demo',
  }
}

/** Averages as short as these cross every few minutes: something happens while one watches. */
function paper(): RunRequest {
  return {
    strategy_id: 'sma_cross',
    mode: 'paper',
    exchange: SIMULATOR,
    symbols: [SYMBOL],
    timeframe: '1m',
    config: { fast: 3, slow: 8, qty: '10' },
    risk: { max_open_orders: 2, max_position: 10 },
    label: 'demo on paper',
  }
}
