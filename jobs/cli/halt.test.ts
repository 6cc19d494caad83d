/** `weaver halt` as a process of its own, in directories and with configurations that are not as they should be. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectOwner } from '../../db/client.ts'
import { createMigratedDatabase, createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { readHaltFile } from '../glados/halts/file.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const ENTRY = new URL('../../weaver.ts', import.meta.url).pathname

let database: TestDatabase
let home: string
beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'weaver-halt-cli-'))
})
afterAll(() => database.drop())

/** In that directory, with nothing of this test's environment. */
function weaver(env: Record<string, string>, ...words: string[]) {
  return new Promise<{ code: number; output: string }>((resolve) => {
    const options = { cwd: home, env: { PATH: process.env.PATH, HOME: home, ...env } }
    execFile(process.execPath, [ENTRY, ...words], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: `${out}${err}` })
    })
  })
}

const held = async () =>
  (
    await database.db.reader.query<{ held: string }>(
      `select coalesce(reason, '') || ' by ' || halted_by as held from weaver.halts where resumed_at is null`,
    )
  ).map((row) => row.held)
const resumes = () =>
  database.db.reader.query<{ by: string }>(
    `select resumed_by as by from weaver.halts where resumed_at is not null order by resumed_at desc limit 1`,
  )

test('a configuration with problems that it does not need: it halts, and names them', async () => {
  const wrong = ['WEAVER_PORT=eighty', 'WEAVER_RISK_MAX_ORDRE=5', 'WEAVER_HOST=0.0.0.0', 'WEAVER_LOG_LEVEL=loud']
  await writeFile(join(home, '.env'), `${[`DATABASE_URL=${database.url}`, ...wrong].join('\n')}\n`)
  const { code, output } = await weaver({}, 'halt', '--reason', 'a typo')
  expect([code, await held()], output).toEqual([0, ['a typo by weaver halt']])
  for (const name of ['WEAVER_PORT', 'WEAVER_RISK_MAX_ORDRE', 'WEAVER_API_KEY', 'WEAVER_LOG_LEVEL']) {
    expect(output).toMatch(new RegExp(`weaver halt goes on without it: .*${name}`))
  }
  // Whoever resumes has time to correct it.
  expect((await weaver({}, 'resume')).code).toBe(1)
  expect(await weaver({ DATABASE_URL: database.url }, 'halt', '--drill')).toMatchObject({
    code: 1,
    output: expect.stringContaining('the configuration has problems'),
  })
  await writeFile(join(home, '.env'), `DATABASE_URL=${database.url}\n`)
  expect((await weaver({}, 'resume')).code).toBe(0)
  expect([await held(), await resumes()]).toEqual([[], [{ by: 'weaver resume' }]])
})

test.each([['halt'], ['resume']])(
  '%s in a directory that is not Weaver’s says so, and makes nothing there',
  async (word) => {
    const { code, output } = await weaver({}, word)
    expect([code, await readdir(home)]).toEqual([1, []])
    expect(output).toMatch(/there is no Weaver here: .*\.weaver is not its data directory, and DATABASE_URL is not set/)
    expect(output).not.toContain('Halted')
  },
)

test('a database that is nobody’s Weaver stays as it is', async () => {
  const empty = await createMigratedDatabase()
  const owner = await connectOwner({ url: empty.url, applicationName: 'a test' })
  await owner.query('drop schema weaver cascade; drop table public.weaver_migrations')
  const { code, output } = await weaver({ DATABASE_URL: empty.url }, 'halt')
  const { rows } = await owner.query(`select from pg_namespace where nspname = 'weaver'`)
  expect([code, rows.length, await readdir(home)], output).toEqual([1, 0, []])
  expect(output).toContain('NOT halted')
  await owner.end()
  await empty.drop()
})

test('a database that takes the connection and says nothing: the file halts, and the command ends', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => void sockets.push(socket))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  await mkdir(join(home, '.weaver'))
  const { code, output } = await weaver(
    { DATABASE_URL: `postgres://w:w@127.0.0.1:${port}/w` },
    'halt',
    '--reason',
    'away',
  )
  expect(code, output).toBe(0)
  expect(output).toContain('The database cannot be told: ')
  expect((await readHaltFile(join(home, '.weaver')))?.reason).toBe('away')
  for (const socket of sockets) socket.destroy()
  silent.close()
  await rm(home, { recursive: true, force: true })
})
