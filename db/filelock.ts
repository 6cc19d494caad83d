/**
 * A lock between processes of one machine: a file that names its owner. The lock of a process that died is taken over,
 * also when its process id has been given to another program since.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { access, constants, link, mkdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const RETRY_MS = 50
/** Longer than any honest takeover (a few file operations) takes. */
const BREAKER_STALE_MS = 5_000

export interface FileLock {
  release(): Promise<void>
}

interface Owner {
  pid: number
  /** Distinguishes this process from a later one with the same id. */
  started: string
  token: string
}

/** When the process started, in whatever unit the system has; null when there is no such process. */
async function startOf(pid: number): Promise<string | null> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return null
  }
  try {
    if (process.platform === 'linux') {
      const line = await readFile(`/proc/${pid}/stat`, 'utf8')
      // The name, in parentheses, may hold blanks; state is field 3, the start time field 22.
      const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
      return fields[0] === 'Z' ? null : (fields[19] ?? '')
    }
    if (process.platform === 'win32') return ''
    const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)], { timeout: 5_000 })
    return stdout.trim()
  } catch {
    return null
  }
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

async function readOwner(path: string): Promise<Owner | null> {
  try {
    const owner: unknown = JSON.parse(await readFile(path, 'utf8'))
    return typeof owner === 'object' && owner !== null && 'pid' in owner ? (owner as Owner) : null
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return null
    throw error
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  const started = await startOf(owner.pid)
  return started !== null && started === owner.started
}

/** Removes the lock of a dead owner. Two that find it dead at once must not remove each other's new lock: one at a time. */
async function breakLock(path: string): Promise<void> {
  const breaker = `${path}.break`
  try {
    await writeFile(breaker, '', { flag: 'wx' })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const age = await stat(breaker).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    )
    if (age > BREAKER_STALE_MS) await unlink(breaker).catch(() => {})
    return
  }
  try {
    const owner = await readOwner(path)
    if (owner === null || !(await isAlive(owner))) await unlink(path).catch(() => {})
  } finally {
    await unlink(breaker).catch(() => {})
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
    await access(folder, constants.W_OK)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `cannot write to the folder ${folder}: make it writable, or set WEAVER_DATA_DIR to another (${why})`,
    )
  }
}

/** Gives the lock, or the process that holds it. */
export async function tryFileLock(path: string): Promise<FileLock | { heldBy: number }> {
  await makeFolder(dirname(path))
  const mine: Owner = { pid: process.pid, started: (await startOf(process.pid)) ?? '', token: randomUUID() }
  const draft = `${path}.${mine.token}`
  // Linking a finished file makes the lock appear with its content, or not at all.
  await writeFile(draft, JSON.stringify(mine), { mode: 0o644 })
  try {
    for (;;) {
      try {
        await link(draft, path)
        return {
          async release() {
            const owner = await readOwner(path)
            if (owner?.token === mine.token) await unlink(path)
          },
        }
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error
      }
      const owner = await readOwner(path)
      if (owner !== null && (await isAlive(owner))) return { heldBy: owner.pid }
      await breakLock(path)
      await sleep(RETRY_MS / 5)
    }
  } finally {
    await unlink(draft).catch(() => {})
  }
}

/** Waits for the lock, up to the deadline. */
export async function fileLock(path: string, timeoutMs: number): Promise<FileLock> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const lock = await tryFileLock(path)
    if ('release' in lock) return lock
    if (Date.now() > deadline) {
      throw new Error(
        `process ${lock.heldBy} has held ${path} for ${timeoutMs / 1000} s: is it stuck? Stop it, and try again`,
      )
    }
    await sleep(RETRY_MS)
  }
}
