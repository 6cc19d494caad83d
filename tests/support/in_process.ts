/** Weaver's workers and commands in the test's own process, on a database and data directory of its own. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getRun } from '../../db/walle/queries/runs.ts'
import { record } from '../../db/walle/record.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import { loadConfig } from '../../jobs/config/config.ts'
import { type Control, openControl } from '../../jobs/control.ts'
import type { PreciseClock } from '../../jobs/glados/clock.ts'
import type { RunRequest } from '../../jobs/glados/commands.ts'
import { plain } from '../../jobs/greta/decimals.ts'
import { createLog } from '../../jobs/log.ts'
import { openSystem, type System } from '../../jobs/system.ts'
import { TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import { createMigratedDatabase } from './database.ts'
import { until } from './until.ts'

export interface InProcess {
  system: System
  readonly control: Control
  /** Ends all that works; the database stays. */
  down(): Promise<void>
  /** Starts it again. */
  up(): Promise<void>
  store(symbol: string, timeframe: Timeframe, columns: CandleColumns): Promise<void>
  /** Creates and starts a backtest over all of the columns and waits for its end. */
  backtest(
    request: Partial<RunRequest> & { strategy_id: string; symbols: string[]; timeframe: Timeframe },
    columns: CandleColumns,
  ): Promise<RunRow>
  close(): Promise<void>
}

const STRATEGIES = fileURLToPath(new URL('../../strategies', import.meta.url))
const RESTLESS = new URL('./restless.ts', import.meta.url)
const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
const RUN_DEADLINE_MS = 60_000

/** `files`: further strategies, text by path below the strategies folder. `time`: of paper and live runs. */
export async function openInProcess(
  files: Record<string, string> = {},
  env: Record<string, string> = {},
  time?: PreciseClock,
): Promise<InProcess> {
  const database = await createMigratedDatabase()
  const home = await mkdtemp(join(tmpdir(), 'weaver-in-process-'))
  const strategiesDir = join(home, 'strategies')
  await cp(STRATEGIES, strategiesDir, { recursive: true, filter: (path) => !path.includes('/local') })
  const restless = (await readFile(RESTLESS, 'utf8'))
    .replace('../../strategies/api.ts', '../api.ts')
    .replace('export const restless =', 'export default')
  for (const [path, text] of Object.entries({ 'restless/index.ts': restless, ...files })) {
    await mkdir(join(strategiesDir, path, '..'), { recursive: true })
    await writeFile(join(strategiesDir, path), text)
  }
  const config = loadConfig({
    DATABASE_URL: database.url,
    WEAVER_DATA_DIR: join(home, 'data'),
    WEAVER_WORKERS: '2',
    ...env,
  })
  const system = await openSystem(config, createLog('error'), 'weaver test')
  const open = () => openControl(system, { workers: true, strategiesDir, ...(time && { time }) })
  let control = await open()
  return {
    system,
    get control() {
      return control
    },
    down: () => control.close(),
    async up() {
      control = await open()
    },
    async store(symbol, timeframe, columns) {
      const text = (name: keyof CandleColumns, index: number) => plain(String(columns[name][index]))
      const candles = [...columns.time].map((time, index) => ({
        time,
        open: text('open', index),
        high: text('high', index),
        low: text('low', index),
        close: text('close', index),
        volume: text('volume', index),
        trade_count: null,
      }))
      await system.db.write((tx) =>
        record(tx, { writes: [{ kind: 'store_candles', symbol, timeframe, candles }], events: [] }),
      )
    },
    async backtest(request, columns) {
      const start = columns.time[0] as number
      const end = (columns.time.at(-1) as number) + TIMEFRAME_MS[request.timeframe]
      const created = await control.commands.createRun(
        {
          mode: 'backtest',
          start_time: new Date(start).toISOString(),
          end_time: new Date(end).toISOString(),
          ...request,
        },
        CORR,
      )
      await control.commands.startRun(created.id, CORR)
      return until(
        `the end of run ${created.id}`,
        async () => {
          const run = await getRun(system.db.reader, created.id)
          return run?.status === 'running' ? null : run
        },
        RUN_DEADLINE_MS,
      )
    },
    async close() {
      await control.close()
      await system.close()
      await database.drop()
      await rm(home, { recursive: true, force: true })
    },
  }
}
