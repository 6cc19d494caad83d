/** Runs and events for tests of the log and of the jobs. */
import { randomUUID } from 'node:crypto'
import type { Database } from '../../db/database.ts'
import type { NewEvent } from '../../db/events/envelope.ts'

/** A running backtest without anything in it; gives its id. */
export async function insertRun(db: Database): Promise<string> {
  const id = randomUUID()
  await db.write(async (tx) => {
    await tx.execute(
      `insert into weaver.strategy_sources (hash, strategy_id, version, entry, files)
       values ('hash', 'idle', '1', 'idle.ts', '{}') on conflict do nothing`,
    )
    await tx.execute(
      `insert into weaver.runs (id, strategy_id, strategy_version, strategy_hash, mode, status, symbols, timeframe, config,
         initial_cash, fill, audit, driver, seed, weaver_version, window_bars)
       values ($1, 'idle', '1', 'hash', 'backtest', 'running', '{DEMO/USD}', '1m', '{}', 100000, '{}', 'full', 'chain', 0,
         'test', 1)`,
      [id],
    )
  })
  return id
}

type EventOf<T extends NewEvent['type']> = Extract<NewEvent, { type: T }>

function root(run_id: string | null) {
  const id = randomUUID()
  return { id, run_id, corr_id: id, causation_id: null, ts: '2026-01-02T03:04:00.000Z', producer: 'glados' } as const
}

export function tick(runId: string, barIndex = 0, isBacktest = true): EventOf<'clock.Tick'> {
  const ts = '2026-01-02T03:04:00.000Z'
  const payload = { run_id: runId, ts, timeframe: '1m', bar_index: barIndex, is_backtest: isBacktest } as const
  return { ...root(runId), type: 'clock.Tick', payload }
}

export function progressed(runId: string, nextTick: number): EventOf<'run.Progressed'> {
  const payload = { run_id: runId, progress: 0, next_tick: nextTick, ticks_total: 1_000 }
  return { ...root(runId), type: 'run.Progressed', payload }
}

export function systemStarted(version = '1.2.3'): EventOf<'system.Started'> {
  return { ...root(null), type: 'system.Started', payload: { version } }
}
