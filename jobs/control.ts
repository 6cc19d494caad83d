/** GLaDOS at hand for one process: the commands, the strategies that there are, and where needed the workers. */

import { fileURLToPath } from 'node:url'
import { livePools } from '../db/events/leases.ts'
import { runsThatSaw } from '../db/walle/queries/run_data.ts'
import { createRecorder, record } from '../db/walle/record.ts'
import { type AccountCommands, createAccountCommands } from './glados/account_commands.ts'
import { type CandleFetchCommands, createCandleFetchCommands } from './glados/candle_fetches.ts'
import { type PreciseClock, wallClock } from './glados/clock.ts'
import { type CloseCommands, createCloseCommands } from './glados/close_commands.ts'
import { createCommands, type ResolvedStrategy, type RunCommands } from './glados/commands.ts'
import { DomainError } from './glados/errors.ts'
import type { HaltCommands } from './glados/halt_commands.ts'
import { openHaltCommands } from './glados/halts/halt.ts'
import { startHaltWatch } from './glados/halts/watch.ts'
import { type ImportReport, type ImportRequest, importCandles } from './glados/import_candles.ts'
import { createJobCommands, type JobCommands } from './glados/job_commands.ts'
import { createOrderCommands, type OrderCommands } from './glados/order_commands.ts'
import { createParityCommands, type ParityCommands } from './glados/parity_commands.ts'
import { createTracer, type Tracer } from './history/trace.ts'
import { createHostRuns } from './hosts/client.ts'
import type { Venues } from './live/live.ts'
import { type Catalog, createCatalog } from './marvin/catalog.ts'
import type { Given } from './marvin/definition.ts'
import { StrategyFailure } from './marvin/failure.ts'
import { createHostPool, HOST_ENTRY, type HostPool } from './marvin/host_pool.ts'
import { sourcesFolder } from './marvin/sources.ts'
import type { System } from './system.ts'
import { openVenues } from './veda/venues/world.ts'
import { VERSION } from './version.ts'
import { startWorker } from './worker.ts'

export interface Control {
  commands: RunCommands &
    JobCommands &
    AccountCommands &
    OrderCommands &
    CloseCommands &
    HaltCommands &
    CandleFetchCommands &
    ParityCommands
  catalog: Catalog
  hosts: HostPool
  tracer: Tracer
  venues: Venues
  /** Settles when the process can do no more. */
  failed: Promise<Error>
  close(): Promise<void>
}

/** A strategy host that needs more than this is ended, and its run with it. */
const HOST_MEMORY_MB = 2048
/** Paper and live runs share these: a strategy that hangs holds up one of them. */
const LIVE_HOSTS = 2
const STRATEGIES_DIR = fileURLToPath(new URL('../strategies', import.meta.url))

export interface ControlOptions {
  workers: boolean | 'unless running'
  /** Where strategies are looked for. */
  strategiesDir?: string
  /** What paper and live runs go by. */
  time?: PreciseClock
}

/** Strategy hosts as this installation wants them. */
export function openHosts({ config, log }: System, size: number): HostPool {
  return createHostPool({
    size,
    entry: HOST_ENTRY,
    readable: [sourcesFolder(config.dataDir)],
    timeoutMs: config.strategyTimeoutMs,
    memoryLimitMb: HOST_MEMORY_MB,
    now: wallClock.now,
    sleep: wallClock.sleep,
    log: (line) => log.warn({ host: line }, 'strategy host'),
  })
}

export async function openControl(
  system: System,
  { workers, strategiesDir = STRATEGIES_DIR, time = wallClock }: ControlOptions,
): Promise<Control> {
  const { db, config } = system
  const hosts = openHosts(system, config.workers + 1)
  const liveHosts = openHosts(system, LIVE_HOSTS)
  const catalog = createCatalog({ strategiesDir, dataDir: config.dataDir, hosts, now: wallClock.now })
  const venues = await openVenues(system, time)
  const fatal = Promise.withResolvers<Error>()
  system.lost.then(fatal.resolve)
  const halts = openHaltCommands(system, time)
  // Before any worker: what was halted while Postgres was away is halted.
  const haltWatch = await startHaltWatch({
    dataDir: config.dataDir,
    commands: halts,
    newId: wallClock.newId,
    sleep: wallClock.sleep,
    log: (fields, message) => system.log.warn(fields, message),
  })
  const newHosts = () => openHosts(system, 1)
  const needed = workers === true || (workers === 'unless running' && (await livePools(db)) === 0)
  const worker = needed
    ? await startWorker(system, { hosts, liveHosts, newHosts, stays: workers === true, time }, fatal.resolve)
    : null
  return {
    commands: {
      ...createCommands({
        recorder: createRecorder(db),
        reader: db.reader,
        resolveStrategy: (id, given) => resolveStrategy(catalog, id, given),
        now: time.now,
        newId: time.newId,
        version: VERSION,
        limits: config.risk,
        exchanges: venues.known,
      }),
      ...createAccountCommands({ recorder: createRecorder(db), ...wallClock }),
      ...createOrderCommands({ recorder: createRecorder(db), ...wallClock }),
      ...createCloseCommands({ recorder: createRecorder(db), exchanges: venues.known, ...time }),
      ...halts,
      ...createCandleFetchCommands({
        recorder: createRecorder(db),
        reader: db.reader,
        configured: venues.configured,
        ...wallClock,
      }),
      ...createParityCommands({ recorder: createRecorder(db), reader: db.reader }),
      ...createJobCommands({ write: db.write, record, reader: db.reader, ...wallClock }),
    },
    catalog,
    hosts,
    venues,
    tracer: createTracer({
      reader: db.reader,
      replay: createHostRuns({ db, hosts, dataDir: config.dataDir }).replay,
      version: VERSION,
    }),
    failed: fatal.promise,
    async close() {
      await worker?.stop()
      await haltWatch.stop()
      await venues.close()
      await hosts.close()
      await liveHosts.close()
    },
  }
}

/** Values that come as text are read as the strategy's schema wants them: `fast=10` on a command line is the number 10. */
export async function resolveStrategy(catalog: Catalog, id: string, given: Given): Promise<ResolvedStrategy> {
  const found = await catalog.resolve(id, given).catch((error: unknown) => {
    if (!(error instanceof StrategyFailure)) throw error
    const message = `${id} fails with these parameters: ${error.message}`
    throw new DomainError('VALIDATION_ERROR', message, { issues: [{ path: 'config', message: error.message }] })
  })
  if (found === null) {
    const { items, errors } = await catalog.list()
    const broken = errors.map(({ path, message }) => `${path} does not load: ${message}`)
    const known = `known are ${items.map((item) => item.id).join(', ')}`
    throw new DomainError('VALIDATION_ERROR', [`there is no strategy ${id}: ${known}`, ...broken].join('; '), {
      issues: [{ path: 'strategy_id', message: `there is no strategy ${id}` }],
    })
  }
  const { item, source, resolved } = found
  if (!resolved.ok) {
    const issues = resolved.issues.map(({ path, message }) => ({ path: `config.${path}`, message }))
    const message = issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ')
    throw new DomainError('VALIDATION_ERROR', `the parameters do not fit ${id}: ${message}`, { issues })
  }
  return {
    version: item.version,
    source: { ...source, strategy_id: id, version: item.version },
    params: resolved.params,
    window_bars: resolved.window_bars,
  }
}

/** Takes in a file of candles, in one transaction. */
export function importInto({ db, config }: System, request: ImportRequest): Promise<ImportReport> {
  return importCandles(
    async (write) => {
      const { candles } = await db.write((tx) => record(tx, { writes: [write], events: [] }))
      const [told] = candles
      return {
        stored: told?.stored.count ?? 0,
        revised: told?.revised.count ?? 0,
        unchanged: told?.unchanged ?? 0,
        invalidated: await runsThatSaw(db.reader, { ...write, ...(told?.revised ?? { first: null, last: null }) }),
      }
    },
    config.timezone,
    request,
  )
}
