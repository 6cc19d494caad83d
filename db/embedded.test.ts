import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { connectOwner } from './client.ts'
import { acquirePostgres, acquireStartLock } from './embedded.ts'

const HOLDER = new URL('../tests/support/hold_postgres.ts', import.meta.url).pathname
const KILLED_START = new URL('../tests/support/die_started.ts', import.meta.url).pathname
const asRoot = process.getuid?.() === 0
const NOBODY = { uid: 65_534, gid: 65_534 }
/** Whether another user can read this checkout at all. */
const openCheckout = asRoot && spawnSync('test', ['-r', HOLDER], { ...NOBODY, cwd: '/' }).status === 0
const folders: string[] = []
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const folder of folders.splice(0)) {
    const pid = serverPid(folder)
    if (pid !== null && isRunning(pid)) process.kill(pid, 'SIGQUIT')
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})

function newDataDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'weaver-embedded-'))
  chmodSync(folder, 0o755)
  folders.push(folder)
  return folder
}

function serverPid(dataDir: string): number | null {
  const file = join(dataDir, 'postgres/data/postmaster.pid')
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : null
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Another process that holds the server of the data directory. */
async function hold(dataDir: string, identity: { uid?: number; gid?: number } = {}) {
  const child = spawn(process.execPath, [HOLDER, dataDir], { stdio: ['pipe', 'pipe', 'pipe'], ...identity, cwd: '/' })
  children.push(child)
  let complaint = ''
  child.stderr.on('data', (chunk) => {
    complaint += chunk
  })
  const exited = once(child, 'exit')
  const first = await Promise.race([once(child.stdout, 'data'), exited])
  if (!Buffer.isBuffer(first[0])) throw new Error(`the holder ended: ${complaint}`)
  return {
    url: first[0].toString().trim(),
    async release() {
      child.stdin.write('release\n')
      await exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = await connectOwner({ url, applicationName: 'test' })
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

test('what was written is there after a stop and a start; the server listens on this machine only', async () => {
  const dataDir = newDataDir()
  const first = await acquirePostgres({ dataDir, connections: 100 })
  await ask(first.url, 'create table kept (n int); insert into kept values (7)')
  expect(await ask(first.url, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }])
  expect(await ask(first.url, 'show fsync')).toEqual([{ fsync: 'on' }])
  expect(await ask(first.url, 'show server_encoding')).toEqual([{ server_encoding: 'UTF8' }])
  expect(statSync(join(dataDir, 'postgres/password')).mode & 0o777).toBe(0o600)
  const wrong = new URL(first.url)
  wrong.password = 'guess'
  await expect(ask(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
  await first.release()
  expect(serverPid(dataDir)).toBeNull()

  const second = await acquirePostgres({ dataDir, connections: 100 })
  expect(await ask(second.url, 'select n from kept')).toEqual([{ n: 7 }])
  await second.release()
})

test('several processes at once share one server, and the last one out stops it', async () => {
  const dataDir = newDataDir()
  const holders = await Promise.all([hold(dataDir), hold(dataDir), hold(dataDir)])
  expect(new Set(holders.map(({ url }) => url)).size).toBe(1)
  const [first, second, third] = holders
  const url = first?.url ?? ''
  await first?.release()
  await second?.release()
  expect(await ask(url, 'select 1 as one')).toEqual([{ one: 1 }])
  await third?.release()
  expect(serverPid(dataDir)).toBeNull()
  await expect(ask(url, 'select 1')).rejects.toThrow('ECONNREFUSED')
})

test('a server left behind by a killed process is adopted, and stopped by who adopted it', async () => {
  const dataDir = newDataDir()
  const killed = await hold(dataDir)
  const pid = serverPid(dataDir)
  await killed.kill()
  expect(serverPid(dataDir)).toBe(pid)
  const next = await acquirePostgres({ dataDir, connections: 100 })
  expect(next.url).toBe(killed.url)
  expect(serverPid(dataDir)).toBe(pid)
  await next.release()
  expect(serverPid(dataDir)).toBeNull()
})

test('a killed server is started again under the same address while it is in use', async () => {
  const dataDir = newDataDir()
  const postgres = await acquirePostgres({ dataDir, connections: 100 })
  const pid = serverPid(dataDir) ?? 0
  process.kill(pid, 'SIGKILL')
  await vi.waitFor(async () => expect(await ask(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]), {
    timeout: 20_000,
    interval: 100,
  })
  expect(serverPid(dataDir)).not.toBe(pid)
  await postgres.release()
  expect(serverPid(dataDir)).toBeNull()
})

test('after server and user were both killed the next start works', async () => {
  const dataDir = newDataDir()
  const holder = await hold(dataDir)
  await ask(holder.url, 'create table kept (n int)')
  await holder.kill()
  process.kill(serverPid(dataDir) ?? 0, 'SIGKILL')
  const next = await acquirePostgres({ dataDir, connections: 100 })
  expect(await ask(next.url, 'select count(*)::int as n from kept')).toEqual([{ n: 0 }])
  await next.release()
})

test('a second start on a data directory is refused, by the name of the first; a dead one is taken over', async () => {
  const dataDir = newDataDir()
  const lock = await acquireStartLock(dataDir)
  await expect(acquireStartLock(dataDir)).rejects.toThrow(
    `Weaver is already running on ${dataDir} (process ${process.pid}): stop it first, or set WEAVER_DATA_DIR to another directory`,
  )
  await lock.release()
  expect(() => execFileSync(process.execPath, [KILLED_START, dataDir], { stdio: 'pipe' })).toThrow()
  expect(existsSync(join(dataDir, 'start.lock'))).toBe(true)
  await (await acquireStartLock(dataDir)).release()
  expect(existsSync(join(dataDir, 'start.lock'))).toBe(false)
})

test.runIf(openCheckout)('an ordinary user runs the server as himself', async () => {
  const dataDir = newDataDir()
  chownSync(dataDir, NOBODY.uid, NOBODY.gid)
  const holder = await hold(dataDir, NOBODY)
  expect(statSync(join(dataDir, 'postgres/data')).uid).toBe(NOBODY.uid)
  expect(await ask(holder.url, 'select 1 as one')).toEqual([{ one: 1 }])
  await holder.release()
  expect(serverPid(dataDir)).toBeNull()
})

test.runIf(asRoot)('root runs the server as another user, also below a directory that is closed to it', async () => {
  const closed = newDataDir()
  chmodSync(closed, 0o700)
  const dataDir = join(closed, 'data')
  mkdirSync(dataDir)
  const postgres = await acquirePostgres({ dataDir, connections: 100 })
  const owner = Number(execFileSync('id', ['-u', 'postgres']).toString())
  const home = join(dataDir, 'postgres')
  expect(statSync(join(home, 'data')).uid).toBe(owner)
  await postgres.release()
  const again = await acquirePostgres({ dataDir, connections: 100 })
  expect(await ask(again.url, 'select 1 as one')).toEqual([{ one: 1 }])
  await again.release()
  execFileSync('sh', ['-c', 'rm -rf "$(readlink -f "$1")"', 'sh', home])
})
