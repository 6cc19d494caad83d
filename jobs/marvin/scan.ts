/** Reads the strategies folder. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { LoadError } from './discover.ts'

const MAX_FILES = 5_000
const MAX_FILE_BYTES = 1_000_000

export interface ScannedFiles {
  /** Text by path below the folder, with `/`. */
  files: Map<string, string>
  errors: LoadError[]
}

/** Every TypeScript file but tests. A file that cannot be read is named and the rest still count. */
export async function scanStrategies(folder: string): Promise<ScannedFiles> {
  const files = new Map<string, string>()
  const errors: LoadError[] = []
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of found) {
    const path = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/')
    if (!entry.isFile() || !isStrategyCode(path)) continue
    if (files.size >= MAX_FILES) {
      errors.push({ path, message: `left out: more than ${MAX_FILES} files below the strategies folder` })
      break
    }
    try {
      const file = join(entry.parentPath, entry.name)
      const { size } = await stat(file)
      if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes: ${MAX_FILE_BYTES} are the limit`)
      files.set(path, await readFile(file, 'utf8'))
    } catch (error) {
      errors.push({ path, message: `cannot be read: ${error instanceof Error ? error.message : String(error)}` })
    }
  }
  return { files, errors }
}

function isStrategyCode(path: string): boolean {
  if (!path.endsWith('.ts') || path.endsWith('.test.ts') || path.endsWith('.d.ts')) return false
  return !path.split('/').some((part) => part.startsWith('.') || part === 'node_modules')
}
