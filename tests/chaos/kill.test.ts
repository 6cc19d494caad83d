/** I11: Weaver killed with -9 in the middle of a backtest goes on by itself when it is started again, with the same result. */
import { expect, test } from 'vitest'
import { openDatabase } from '../../db/client.ts'
import { columnsOf } from '../../db/walle/candle_columns.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import type { StrategyDefinition } from '../../strategies/api.ts'
import bollingerLimit from '../../strategies/bollinger_limit/index.ts'
import { playPure } from '../support/pure_run.ts'
import { hashOf } from '../support/seeded.ts'
import { until } from '../support/until.ts'
import { startWeaver } from '../support/weaver.ts'

const BARS = 20_000
const START = Date.UTC(2024, 0, 1)

test('after kill -9 in the middle of a backtest the restarted Weaver finishes it with the same hash', async () => {
  const candles = generateCandles({
    timeframe: '1m',
    start: START,
    bars: BARS,
    seed: 7,
    startPrice: 100,
    volatility: 0.001,
  })
  const weaver = await startWeaver()
  const db = await openDatabase({ url: weaver.databaseUrl, applicationName: 'weaver test' })
  try {
    await db.write((tx) =>
      record(tx, { writes: [{ kind: 'store_candles', symbol: 'KILL/USD', timeframe: '1m', candles }], events: [] }),
    )
    const post = async (path: string, body: object) => {
      const answer = await fetch(`${weaver.url}/api/v1${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      return (await answer.json()) as { id: string }
    }
    const { id } = await post('/runs', {
      strategy_id: 'bollinger_limit',
      mode: 'backtest',
      symbols: ['KILL/USD'],
      timeframe: '1m',
      start_time: new Date(START).toISOString(),
      end_time: new Date(START + BARS * 60_000).toISOString(),
    })
    await post(`/runs/${id}/start`, {})
    const half = await until('a chunk to be stored', async () => {
      const run = await getRun(db.reader, id)
      return run && run.next_tick > 0 ? run : null
    })
    await weaver.kill()
    expect([half.status, half.progress < 1]).toEqual(['running', true])

    await weaver.restart()
    const done = await until(
      'the end of the run',
      async () => {
        const run = await getRun(db.reader, id)
        return run?.status === 'running' ? null : run
      },
      60_000,
    )
    const undisturbed = playPure({
      strategy: bollingerLimit as unknown as StrategyDefinition,
      columns: columnsOf(candles),
      symbol: 'KILL/USD',
      timeframe: '1m',
      cash: '100000',
    })
    expect([done.status, done.error, done.result_hash]).toEqual(['completed', null, hashOf(undisturbed)])
  } finally {
    await db.close()
    await weaver.stop()
  }
}, 180_000)
