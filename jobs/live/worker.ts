/** The part of a worker that carries paper and live runs: their jobs, their clock, the keepers of their accounts. */
import type { WriteTx } from '../../db/database.ts'
import { createThrottle } from '../../db/events/throttle.ts'
import { record } from '../../db/walle/record.ts'
import type { Handlers } from '../attempt.ts'
import { type PreciseClock, wallClock } from '../glados/clock.ts'
import { readHaltFile } from '../glados/halts/file.ts'
import { cancelAll, cancelRun } from '../glados/halts/jobs.ts'
import { createHostRuns } from '../hosts/client.ts'
import type { HostPool } from '../marvin/host_pool.ts'
import { replayJob } from '../parity/job.ts'
import type { System } from '../system.ts'
import { disownAccounts, startKeepers } from '../veda/accounts/keeper.ts'
import { type BarCache, createBarCache } from '../veda/market/bar_cache.ts'
import { fetchCandlePage } from '../veda/market/candle_fetch.ts'
import { createMarketWatch } from '../veda/market/watch.ts'
import { sendCancel } from '../veda/orders/cancelling.ts'
import { fitExits, fitSymbol } from '../veda/orders/fit_exits.ts'
import { cancelOrder, placeOrder } from '../veda/orders/placing.ts'
import { recordReport } from '../veda/orders/reports.ts'
import { submitOrder } from '../veda/orders/sending.ts'
import { openVenues } from '../veda/venues/world.ts'
import { createLiveClock } from './clock.ts'
import { endRun, endStoppedRun } from './end.ts'
import { fetchWindow } from './fetch.ts'
import { type LiveHopJobs, runLiveHop } from './jobs.ts'
import { applyLimits } from './limits.ts'
import type { Live } from './live.ts'
import { type AccountPlaces, createAccountPlaces } from './pools.ts'
import { startLiveRun } from './start.ts'

type LiveTask = Extract<keyof Handlers, `veda.${string}` | 'marvin.on_live_window' | 'marvin.on_order'>

export interface LiveWorker {
  handlers: Pick<Handlers, LiveTask | 'greta.replay_run'>
  /** Flags of jobs that are to stay where they are for now. */
  passedOver: () => string[]
  /** Before the first job of a process that stays. */
  prepare(): Promise<void>
  /** What works on its own beside the jobs. */
  start(): void
  stop(): Promise<void>
  /** After the last job. */
  close(): Promise<void>
}

export interface LiveHosts {
  liveHosts: HostPool
  /** A pool of one host in which nothing has run. */
  newHosts: () => HostPool
}

export async function openLiveWorker(
  system: System,
  { liveHosts, newHosts }: LiveHosts,
  time: PreciseClock,
): Promise<LiveWorker> {
  const { db, log, config } = system
  const recorded: Live['record'] = async (tx, outcome) => {
    await record(tx, outcome)
  }
  const told: Live['log'] = (level, fields, message) => log[level](fields, message)
  const bars = createBarCache({ ...wallClock, db, record: recorded, now: time.now, log: told })
  const venues = await openVenues(system, time)
  const market = createMarketWatch({
    ...{ db, record: recorded, venues, log: told, ...time },
    follows: config.marketEvents,
    throttle: createThrottle({ reader: db.reader, now: time.now }),
  })
  const live: Live = {
    db,
    record: recorded,
    venues,
    hop: createHostRuns({ db, hosts: liveHosts, dataDir: config.dataDir }).hop,
    isHalted: async () => (await readHaltFile(config.dataDir)) !== null,
    market: {
      follows: market.follows,
      heard(venue, news) {
        if (news.kind === 'bar') bars.heard(venue, news)
        market.heard(venue, news)
      },
    },
    ...time,
    log: told,
  }
  // Before the first job: what a keeper left that is gone is not what is so now.
  await disownAccounts(live)
  // Its pauses are those of the process, whatever the clock of the runs does.
  const pauses = { monotonic: wallClock.monotonic, pause: () => wallClock.sleep(0) }
  const replays = { ...live, ...pauses, newHosts, dataDir: config.dataDir }
  const clock = createLiveClock({ db, record: live.record, clock: time, log: live.log })
  const places = createAccountPlaces(live)
  let keepers: ReturnType<typeof startKeepers> | null = null
  return {
    handlers: {
      ...liveHandlers(live, places, bars),
      'greta.replay_run': (payload, job) => replayJob(replays, payload, job),
    },
    passedOver: places.full,
    prepare: () => applyLimits(live, config.risk),
    start() {
      clock.start()
      keepers = startKeepers(live, (heard) => recordReport(live, heard))
    },
    async stop() {
      await Promise.all([clock.stop(), keepers?.stop()])
      await market.stop()
    },
    close: () => live.venues.close(),
  }
}

export function liveHandlers(
  live: Live,
  places: AccountPlaces,
  bars: BarCache = createBarCache(live),
): Pick<Handlers, LiveTask> {
  const hops: LiveHopJobs = {
    ...live,
    endRun: (tx: WriteTx, run, failure) => endRun(live, tx, run, failure),
  }
  const fetches = { ...live, bars }
  return {
    'veda.start_run': places.handler('veda.start_run', (payload, job) => startLiveRun(live, payload, job)),
    'veda.fetch_window': (payload, job) => fetchWindow(fetches, payload, job),
    'marvin.on_live_window': (payload, job) => runLiveHop(hops, 'marvin.on_live_window', payload, job),
    'marvin.on_order': (payload, job) => runLiveHop(hops, 'marvin.on_order', payload, job),
    'veda.place_order': (payload, job) => placeOrder(live, payload, job),
    'veda.cancel_order': (payload, job) => cancelOrder(live, payload, job),
    'veda.submit_order': places.handler('veda.submit_order', (payload, job) => submitOrder(live, payload, job)),
    'veda.send_cancel': places.handler('veda.send_cancel', (payload, job) => sendCancel(live, payload, job)),
    'veda.fit_exits': (payload, job) => fitExits(live, payload, job),
    'veda.fit_symbol': (payload, job) => fitSymbol(live, payload, job),
    'veda.cancel_run': (payload, job) => cancelRun(live, payload, job),
    'veda.cancel_all': (payload, job) => cancelAll(live, payload, job),
    'veda.fetch_candles': (payload, job) => fetchCandlePage(live, payload, job),
    'veda.end_run': (payload, job) => endStoppedRun(live, payload, job),
  }
}
