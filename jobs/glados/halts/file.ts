/**
 * The halt file: says that nothing may leave while Postgres cannot. Whoever finds it makes a halt of it as soon as
 * there is a database; what cannot be read counts as a halt too.
 */
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

export interface HaltNote {
  reason: string | null
  by: string
  at: string
  /** A drill's gives way to one that is meant. */
  drill: boolean
}

const note = z.object({
  reason: z.string().nullable(),
  by: z.string(),
  at: z.string(),
  drill: z.boolean().default(false),
})

export const haltFilePath = (dataDir: string): string => join(dataDir, 'halt.json')

/** Null: there is none. */
export async function readHaltFile(dataDir: string): Promise<HaltNote | null> {
  const path = haltFilePath(dataDir)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return { reason: `${path} cannot be read: ${messageOf(error)}`, by: 'halt file', at: '', drill: false }
  }
  try {
    return note.parse(JSON.parse(text))
  } catch {
    return { reason: `${path} is there but says nothing that can be read`, by: 'halt file', at: '', drill: false }
  }
}

/** Nobody would find a halt file in a directory that is not there. */
export const hasDataDir = (dataDir: string): boolean => existsSync(dataDir)

/** On the disk when it resolves. One that is there already stays, but for a drill's. */
export async function writeHaltFile(
  dataDir: string,
  halt: Omit<HaltNote, 'drill'> & { drill?: boolean },
): Promise<void> {
  const known = await readHaltFile(dataDir)
  if (known !== null && (!known.drill || halt.drill)) return
  const path = haltFilePath(dataDir)
  await mkdir(dataDir, { recursive: true })
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(halt)}\n`)
    await file.sync()
  } catch {
    // A full disk takes a name where it takes no words: what says nothing that can be read halts too.
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  await syncFolder(dataDir)
}

/** A name is on the disk with its folder. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r')
    await folder.sync().finally(() => folder.close())
  } catch {
    // Windows opens no folder. The file is there for whoever looks, which is what halts.
  }
}

export async function clearHaltFile(dataDir: string): Promise<void> {
  await rm(haltFilePath(dataDir), { force: true })
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
