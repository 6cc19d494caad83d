/** How many connections to Postgres a Weaver takes at the most, by what is configured: from the very pools that take them. */
import { CONNECTIONS_PER_POOL } from '../db/client.ts'
import { tasksOf } from '../db/events/tasks.ts'
import type { Config } from './config/config.ts'
import { CONSUMERS } from './consumers.ts'
import { wallClock } from './glados/clock.ts'
import { LIVE_POOLS } from './live/pools.ts'
import { createChannels } from './notify/channels.ts'
import { BESIDE_WORKERS, type PoolOptions } from './runner.ts'
import { adapterIds } from './veda/venues/venues.ts'

type Configured = Pick<Config, 'workers' | 'notify' | 'heartbeatUrl'>

/** A worker's pools; `channels`: of the messages that it sends. */
export function poolsOf(workers: number, channels: number): PoolOptions[] {
  return [
    ...LIVE_POOLS,
    { name: 'batch', concurrency: workers, tasks: tasksOf('batch') },
    // A channel's messages go one after the other.
    ...(channels > 0 ? [{ name: 'notify', concurrency: channels, tasks: tasksOf('notify') }] : []),
  ]
}

export interface Connections {
  /** `weaver api`, and of `weaver start` what is not its worker's. */
  api: number
  worker: number
  /** A command beside them. */
  command: number
}

/** To read and to write, and one that holds the embedded server. */
const OF_A_PROCESS = 2 * CONNECTIONS_PER_POOL + 1
/** Its session, and where it leads what it listens on. */
const OF_A_LEADER = 2
/** Paper and live. */
const ACCOUNTS_OF_AN_EXCHANGE = 2
/** The session that shows that the workers live. */
const OF_THE_RUNNER = 1
const LISTENER = 1

export function connectionsOf({ workers, notify, heartbeatUrl }: Configured): Connections {
  const channels = createChannels(notify, wallClock.now).length
  const pools = poolsOf(workers, channels).reduce((sum, { concurrency }) => sum + concurrency + BESIDE_WORKERS, 0)
  // The sequencer, the clock, consumers, the heartbeat, keepers of accounts.
  const leaders =
    2 +
    CONSUMERS.length +
    Number(channels > 0) +
    Number(heartbeatUrl !== null) +
    ACCOUNTS_OF_AN_EXCHANGE * adapterIds().length
  return {
    api: OF_A_PROCESS + LISTENER,
    worker: OF_A_PROCESS + OF_THE_RUNNER + pools + OF_A_LEADER * leaders,
    command: OF_A_PROCESS + LISTENER,
  }
}

const COMMANDS_AT_ONCE = 3
/** What Postgres keeps for superusers, and what a person wants to look with. */
const SPARE = 10

/** What a server is to take for `weaver start`, one further worker and some commands. */
export function wantedConnections(config: Configured): number {
  const { api, worker, command } = connectionsOf(config)
  return api + 2 * worker + COMMANDS_AT_ONCE * command + SPARE
}

/** Null: `weaver start` finds room. Commands open few of theirs, and come and go. */
export function tooFewConnections(
  config: Configured & Pick<Config, 'databaseUrl'>,
  { mostConnections, reserved }: { mostConnections: number; reserved: number },
): string | null {
  const { api, worker } = connectionsOf(config)
  if (api + worker <= mostConnections - reserved) return null
  const cure =
    config.databaseUrl === null
      ? 'it was started for less, end all of Weaver on this data directory and start it again'
      : `set max_connections of the server to ${wantedConnections(config)} or more, or WEAVER_WORKERS to less`
  return (
    `Postgres takes ${mostConnections} connections, ${reserved} of them reserved, and this Weaver up to ${api + worker} ` +
    `(${api} for the API, ${worker} for a worker): ${cure}`
  )
}
