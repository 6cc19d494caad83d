/** How many connections are asked for: by the pools that there are, and told where the server has too few. */
import { expect, test } from 'vitest'
import { loadConfig } from './config/config.ts'
import { connectionsOf, tooFewConnections, wantedConnections } from './connections.ts'

const DATABASE_URL = 'postgres://weaver:weaver@127.0.0.1:5432/weaver'
const HOOK = { WEAVER_WEBHOOK_URL: 'https://example.com/hook', WEAVER_WEBHOOK_SECRET: 'a'.repeat(32) }

test('a worker takes its pools, its sessions and what it listens on', () => {
  // Reading 10, writing 10, the server's keeper; the session of the runner; live 4, orders 7, cancels 7, batch 2, two more
  // in each; sequencer, clock, one consumer, four keepers, two in each.
  const bare = 21 + 1 + (6 + 9 + 9 + 4) + 2 * (2 + 1 + 4)
  expect(connectionsOf(loadConfig({ WEAVER_WORKERS: '2' }))).toEqual({ api: 22, worker: bare, command: 22 })
  expect(connectionsOf(loadConfig({ WEAVER_WORKERS: '16' })).worker).toBe(bare + 14)
  // A channel: its pool of one and two more, its consumer. The heartbeat: its lead.
  const told = { WEAVER_WORKERS: '2', ...HOOK, WEAVER_HEARTBEAT_URL: 'https://example.com/beat' }
  expect(connectionsOf(loadConfig(told)).worker).toBe(bare + 3 + 2 + 2)
})

test('a server that takes too few is told of, with the numbers and what to do', () => {
  const given = loadConfig({ DATABASE_URL, WEAVER_WORKERS: '16' })
  const { api, worker, command } = connectionsOf(given)
  const all = api + worker
  expect(tooFewConnections(given, { mostConnections: all + 3, reserved: 3 })).toBeNull()
  expect(tooFewConnections(given, { mostConnections: all + 2, reserved: 3 })).toBe(
    `Postgres takes ${all + 2} connections, 3 of them reserved, and this Weaver up to ${all} (22 for the API, ${worker} for a worker): ` +
      `set max_connections of the server to ${wantedConnections(given)} or more, or WEAVER_WORKERS to less`,
  )
  const own = loadConfig({ WEAVER_WORKERS: '16' })
  expect(tooFewConnections(own, { mostConnections: 100, reserved: 3 })).toMatch(
    /end all of Weaver on this data directory and start it again$/,
  )
  expect(tooFewConnections(own, { mostConnections: wantedConnections(own), reserved: 3 })).toBeNull()
  // A second worker finds room there too.
  expect(wantedConnections(own)).toBeGreaterThan(api + 2 * worker + command)
})
