/** Every job is delivered twice, and the second time to whoever comes first: each must have its effect once (I3). */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { columnsOf } from '../../db/walle/candle_columns.ts'
import { generateCandles } from '../../db/walle/generate.ts'
import * as realQueries from '../../db/walle/queries/runs.ts'
import * as realRecord from '../../db/walle/record.ts'
import * as realConfig from '../../jobs/config/config.ts'
import * as realControl from '../../jobs/control.ts'
import type { RunRequest } from '../../jobs/glados/commands.ts'
import * as realLog from '../../jobs/log.ts'
import * as realSystem from '../../jobs/system.ts'
import type { StrategyDefinition } from '../../strategies/api.ts'
import bracketSma from '../../strategies/bracket_sma/index.ts'
import { ALWAYS, AT_REST, mustHold, NOTHING_FAILED } from '../chaos/invariants.ts'
import { playPure } from '../support/pure_run.ts'
import { hashOf } from '../support/seeded.ts'
import { until } from '../support/until.ts'
import { mutateFunction, type SourceTree } from './mutate.ts'

const START = Date.UTC(2024, 0, 1)
const DEADLINE_MS = 20_000
const CONFIG = { fast: 2, slow: 4, qty: '2' }
const RUNS = [
  { symbol: 'CHAIN/USD', bars: 8, driver: 'chain' },
  { symbol: 'CHUNK/USD', bars: 200, driver: 'chunk' },
] as const

/** Twice is expected here, and only here. */
const FITTING = ALWAYS.filter(({ is }) => is !== 'a running backtest has exactly one step to take')

const TWICE = `select array_agg((s.identifier, s.payload, null, s.run_at, s.max_attempts, null, s.priority, null)
  ::graphile_worker.job_spec) from unnest(specs) s`

async function modulesOf(tree: SourceTree | null) {
  if (tree === null) {
    return { ...realConfig, ...realLog, ...realSystem, ...realControl, ...realRecord, ...realQueries }
  }
  const files = ['jobs/config/config.ts', 'jobs/log.ts', 'jobs/system.ts', 'jobs/control.ts']
  const all = await Promise.all(
    [...files, 'db/walle/record.ts', 'db/walle/queries/runs.ts'].map((file) => tree.load<object>(file)),
  )
  return Object.assign({}, ...all) as typeof realConfig &
    typeof realLog &
    typeof realSystem &
    typeof realControl &
    typeof realRecord &
    typeof realQueries
}

/** Throws when a run does not end as if nothing had happened, or when a handler stumbled over what its twin had done. */
export async function stressRuns(url: string, seed: number, tree: SourceTree | null): Promise<void> {
  const { loadConfig, createLog, openSystem, openControl, record, getRun } = await modulesOf(tree)
  await mutateFunction(url, 'enqueue', [{ from: 'add_jobs(specs)', to: `add_jobs(specs || (${TWICE}))` }])
  const dataDir = await mkdtemp(join(tmpdir(), 'weaver-twice-'))
  const config = loadConfig({ DATABASE_URL: url, WEAVER_DATA_DIR: dataDir, WEAVER_WORKERS: '4' })
  const system = await openSystem(config, createLog('silent'), 'weaver stress')
  const control = await openControl(system, { workers: true })
  const { reader } = system.db
  try {
    await Promise.all(
      RUNS.map(async ({ symbol, bars, driver }) => {
        const shape = { timeframe: '1h', bars, startPrice: 100, volatility: 0.01 } as const
        const candles = generateCandles({ ...shape, start: START, seed })
        await system.db.write((tx) =>
          record(tx, { writes: [{ kind: 'store_candles', symbol, timeframe: '1h', candles }], events: [] }),
        )
        const request: RunRequest = {
          strategy_id: 'bracket_sma',
          mode: 'backtest',
          symbols: [symbol],
          timeframe: '1h',
          config: CONFIG,
          driver,
          audit: 'full',
          start_time: new Date(START).toISOString(),
          end_time: new Date(START + bars * 3_600_000).toISOString(),
        }
        const context = { corrId: randomUUID() }
        const { id } = await control.commands.createRun(request, context)
        await control.commands.startRun(id, context)
        const ended = async () => {
          const run = await getRun(reader, id)
          return run?.status === 'running' ? null : run
        }
        const run = await until(`the end of the run by ${driver}`, ended, DEADLINE_MS)
        const strategy = bracketSma as unknown as StrategyDefinition
        const columns = columnsOf(candles)
        const pure = playPure({ strategy, params: CONFIG, columns, symbol, timeframe: '1h', cash: '100000' })
        if (run.result_hash !== hashOf(pure)) throw new Error(`${driver}: ${run.status} ${JSON.stringify(run.error)}`)
      }),
    )
    const isNumbered = async () => {
      const [row] = await reader.query<{ left: string }>(
        `select (select count(*) from weaver.outbox) - (select count(*) from weaver.outbox_seq)
           + (select count(*) from weaver.job_overview where run_id is not null) as left`,
      )
      return Number(row?.left) === 0
    }
    await until('the second copies to be done', isNumbered, DEADLINE_MS)
    await mustHold(reader, [...FITTING, ...AT_REST, ...NOTHING_FAILED])
    const failed = await reader.query(`select * from weaver.job_history where outcome <> 'done'`)
    if (failed.length > 0) throw new Error(`attempts failed: ${JSON.stringify(failed.slice(0, 3))}`)
  } finally {
    await control.close()
    await system.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}
