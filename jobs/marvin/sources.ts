/**
 * Puts a stored source on disk, where a host can run it: a run executes what was stored at its start, whatever became of
 * the file since. The folder lies in the data directory, so `zod` is named by its place.
 */
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import { hashOf, type StrategySource, staticImports } from './discover.ts'

const ZOD_FOLDER = dirname(createRequire(import.meta.url).resolve('zod/package.json'))
const ZOD_URL = pathToFileURL(join(ZOD_FOLDER, 'index.js')).href

/** What hosts have to be able to read. */
export function sourcesFolder(dataDir: string): string {
  return join(dataDir, 'sources')
}

/** Gives the absolute path of the strategy's file. Writing the same source at the same time in two processes is fine. */
export async function materialise(source: StrategySource, dataDir: string): Promise<string> {
  if (hashOf(source.files) !== source.hash)
    throw new Error(`the stored source ${source.hash} is damaged: its hash differs`)
  const texts = runnable(source)
  const parent = sourcesFolder(dataDir)
  const folder = join(parent, source.hash)
  const entry = join(folder, ...source.entry.split('/'))
  if (await isThere(folder, texts)) return entry
  await mkdir(parent, { recursive: true })
  const made = await mkdtemp(join(parent, '.new-'))
  try {
    for (const [path, text] of texts) {
      const file = join(made, ...path.split('/'))
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, text)
    }
    await putInPlace(made, folder, texts)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
  return entry
}

/** The files as they are run: `zod` by its place, and a package.json that says that they are modules. */
function runnable({ files }: StrategySource): Map<string, string> {
  const texts = new Map([['package.json', '{"type":"module"}\n']])
  for (const [path, text] of Object.entries(files)) {
    if (
      posix.normalize(path) !== path ||
      /^(\.\.)?\/|\\/.test(path) ||
      path.startsWith('../') ||
      !path.endsWith('.ts')
    ) {
      throw new Error(`the stored source names ${path}, which is no path below strategies/`)
    }
    let rewritten = text
    for (const { specifier, start, end } of staticImports(path, text).reverse()) {
      if (specifier === 'zod') rewritten = `${rewritten.slice(0, start)}${ZOD_URL}${rewritten.slice(end)}`
    }
    texts.set(path, rewritten)
  }
  return texts
}

async function isThere(folder: string, texts: ReadonlyMap<string, string>): Promise<boolean> {
  for (const [path, text] of texts) {
    const found = await readFile(join(folder, ...path.split('/')), 'utf8').catch(() => null)
    if (found !== text) return false
  }
  return true
}

/** A folder that is there and differs (the checkout moved, someone edited it) makes way. */
async function putInPlace(made: string, folder: string, texts: ReadonlyMap<string, string>): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await rename(made, folder)
      return
    } catch (error) {
      if (await isThere(folder, texts)) return
      if (attempt === 2) throw error
      await retire(folder, made)
    }
  }
}

async function retire(folder: string, made: string): Promise<void> {
  const old = `${made}-old`
  await rename(folder, old).catch(() => {})
  await rm(old, { recursive: true, force: true })
}
