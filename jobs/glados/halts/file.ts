/**
 * The halt file: says that nothing may leave while Postgres cannot. Whoever finds it makes a halt of it as soon as
 * there is a database; what cannot be read counts as a halt too.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

export interface HaltNote {
  reason: string | null
  by: string
  at: string
}

const note = z.object({ reason: z.string().nullable(), by: z.string(), at: z.string() })

export const haltFilePath = (dataDir: string): string => join(dataDir, 'halt.json')

/** Null: there is none. */
export async function readHaltFile(dataDir: string): Promise<HaltNote | null> {
  const path = haltFilePath(dataDir)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return { reason: `${path} cannot be read: ${messageOf(error)}`, by: 'halt file', at: '' }
  }
  try {
    return note.parse(JSON.parse(text))
  } catch {
    return { reason: `${path} is there but says nothing that can be read`, by: 'halt file', at: '' }
  }
}

/** Whole or not at all, and on the disk when it resolves. One that is there already stays. */
export async function writeHaltFile(dataDir: string, halt: HaltNote): Promise<void> {
  if ((await readHaltFile(dataDir)) !== null) return
  const path = haltFilePath(dataDir)
  await mkdir(dataDir, { recursive: true })
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(halt)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}

export async function clearHaltFile(dataDir: string): Promise<void> {
  await rm(haltFilePath(dataDir), { force: true })
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
