/** I11: what ends of a Weaver that nobody else looks after is started again, by itself. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { connectOwner } from '../../db/client.ts'
import { POOLS } from '../../db/events/tasks.ts'
import { createMigratedDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { freePort, launchWeaver, ownDatabaseUrl, type WeaverProcess } from '../support/weaver_process.ts'

/** On a machine that does other things too; none of them takes as long. */
const WAIT_MS = 60_000
const LIMIT_MS = 180_000

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

interface Setting {
  weaver: WeaverProcess
  dataDir: string
  url: string
}

async function setUp(command: 'start' | 'worker', env: Record<string, string>): Promise<Setting> {
  const dataDir = await mkdtemp(join(tmpdir(), 'weaver-supervised-'))
  cleanUp.push(() => rm(dataDir, { recursive: true, force: true }))
  const port = await freePort()
  const settings = {
    WEAVER_DATA_DIR: dataDir,
    WEAVER_PORT: String(port),
    WEAVER_LOG_LEVEL: 'warn',
    WEAVER_WORKERS: '1',
  }
  const weaver = launchWeaver(command, { ...settings, ...env })
  cleanUp.push(() => weaver.end('SIGTERM'))
  await weaver.ready
  return { weaver, dataDir, url: `http://127.0.0.1:${port}` }
}

type Ask = <Row extends object>(text: string) => Promise<Row[]>

function askerOf(url: string): Ask {
  return async <Row extends object>(text: string) => {
    const client = await connectOwner({ url, applicationName: 'weaver test owner' })
    try {
      return (await client.query<Row>(text)).rows
    } finally {
      await client.end()
    }
  }
}

const isReady = (url: string) =>
  fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

const TERMINATE = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`

const poolsOf = async (ask: Ask): Promise<string[]> => {
  const rows = await ask<{ id: string }>('select id from weaver.worker_pools order by id').catch(() => [])
  return rows.map(({ id }) => id)
}

/** Of a worker without channels. They start one after the other, each registers itself just before its first fetch. */
const REGISTERED = POOLS.filter((pool) => pool !== 'notify').length
const haveRegistered = (ask: Ask) =>
  until('workers to have registered', async () => {
    const pools = await poolsOf(ask)
    return pools.length === REGISTERED && pools
  })

/** As many as before, and none of those. */
const othersAreThere = (ask: Ask, before: readonly string[]) =>
  until(
    'other workers to have registered',
    async () => {
      const now = await poolsOf(ask)
      return now.length === before.length && now.every((id) => !before.includes(id))
    },
    WAIT_MS,
  )

test(
  'weaver worker has workers again after every connection was lost, and leaves nothing at work when it is killed',
  async () => {
    const database = await createMigratedDatabase()
    cleanUp.push(database.drop)
    const ask = askerOf(database.url)
    const { weaver } = await setUp('worker', { DATABASE_URL: database.url })
    const before = await haveRegistered(ask)
    await ask(TERMINATE)
    await othersAreThere(ask, before)
    expect(weaver.hasEnded()).toBe(false)

    await weaver.end('SIGKILL')
    await until(
      'its workers to have let go',
      async () => {
        const [row] = await ask<{ connections: string }>(
          `select count(*) as connections from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and backend_type = 'client backend'`,
        )
        return Number(row?.connections) === 0
      },
      WAIT_MS,
    )
  },
  LIMIT_MS,
)

test(
  'weaver start works on after its own Postgres was killed, with other workers',
  async () => {
    const { weaver, dataDir, url } = await setUp('start', { DATABASE_URL: '' })
    const pid = async () => {
      const file = join(dataDir, 'postgres', 'data', 'postmaster.pid')
      return Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0])
    }
    const first = await pid()
    const ask = askerOf(await ownDatabaseUrl(dataDir))
    const before = await haveRegistered(ask)
    process.kill(first, 'SIGKILL')
    await until('another Postgres', async () => ![0, first].includes(await pid()), WAIT_MS)
    await othersAreThere(ask, before)
    await until('Weaver to be ready again', () => isReady(url), WAIT_MS)
    expect(weaver.hasEnded()).toBe(false)
  },
  LIMIT_MS,
)

test(
  'workers that cannot start at all end with what is wrong',
  async () => {
    const env = { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' }
    const dataDir = await mkdtemp(join(tmpdir(), 'weaver-supervised-'))
    cleanUp.push(() => rm(dataDir, { recursive: true, force: true }))
    const weaver = launchWeaver('worker', { ...env, WEAVER_DATA_DIR: dataDir, WEAVER_LOG_LEVEL: 'warn' })
    weaver.ready.catch(() => {})
    expect(await weaver.ended).toEqual({ code: 1, signal: null })
    expect(weaver.output()).toContain('cannot use the Postgres at 127.0.0.1:1/none')
    expect(weaver.output()).not.toContain('secret')
  },
  LIMIT_MS,
)
