/** Which files are strategies, and what each of them is made of: its closure of imports. Pure. */
import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { parse } from 'es-module-lexer'

/** Everything that a strategy runs, as it is stored with a run. */
export interface StrategySource {
  /** Path of the strategy's file below the strategies folder. */
  entry: string
  /** Text by path below the strategies folder: the entry and all that it imports, api.ts included. */
  files: Record<string, string>
  /** SHA-256 over the files. */
  hash: string
}

export interface LoadError {
  path: string
  message: string
}

export interface Discovered {
  sources: StrategySource[]
  errors: LoadError[]
}

/** Files below the folder that are no strategies. */
const NOT_STRATEGIES = new Set(['api.ts', 'indicators.ts', 'testing.ts'])
const MAX_CLOSURE = 200

/** `*.ts`, a folder's `index.ts`, and the same below `local/`. */
export function isEntry(path: string): boolean {
  if (NOT_STRATEGIES.has(path) || path.endsWith('.test.ts')) return false
  return /^(local\/)?([^/]+\.ts|[^/]+\/index\.ts)$/.test(path)
}

/** The strategies among the files; what cannot be one is named and touches no other. */
export function discover(files: ReadonlyMap<string, string>): Discovered {
  const sources: StrategySource[] = []
  const errors: LoadError[] = []
  for (const path of [...files.keys()].filter(isEntry).sort()) {
    try {
      sources.push(sourceOf(path, files))
    } catch (error) {
      errors.push({ path, message: error instanceof Error ? error.message : String(error) })
    }
  }
  return { sources, errors }
}

/** The entry and all that it imports. Throws for what a strategy may not import. */
export function sourceOf(entry: string, files: ReadonlyMap<string, string>): StrategySource {
  const closure: Record<string, string> = {}
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) throw new Error(`import cycle: ${[...way.slice(way.indexOf(path)), path].join(' → ')}`)
    if (path in closure) return
    const text = files.get(path)
    if (text === undefined) throw new Error(`${way.at(-1) ?? path} imports ${path}, which does not exist`)
    const targets = localImports(path, text)
    for (const target of targets) visit(target, [...way, path])
    closure[path] = text
    if (Object.keys(closure).length > MAX_CLOSURE) throw new Error(`imports more than ${MAX_CLOSURE} files`)
  }
  visit(entry, [])
  const sorted = Object.fromEntries(Object.entries(closure).sort(([one], [other]) => (one < other ? -1 : 1)))
  return { entry, files: sorted, hash: hashOf(sorted) }
}

export function hashOf(files: Record<string, string>): string {
  const entries = Object.entries(files).sort(([one], [other]) => (one < other ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex')
}

export interface ImportPlace {
  specifier: string
  /** Where the specifier's text lies, without its quotes. */
  start: number
  end: number
}

/** Static imports of a file. Throws, naming the file, when it does not parse or loads code in another way. */
export function staticImports(path: string, text: string): ImportPlace[] {
  const places: ImportPlace[] = []
  for (const found of lexed(path, text)) {
    if (found.type === 'dynamic') throw new Error(`${path} uses import(): a strategy imports at its top only`)
    if (found.type === 'import-meta') throw new Error(`${path} uses import.meta: a strategy does not know where it is`)
    if (found.specifier === null || found.specifier === undefined) continue
    places.push({ specifier: found.specifier, start: found.start, end: found.end })
  }
  if (/(^|[^.\w$])require\s*\(\s*['"`]/.test(withoutComments(text))) {
    throw new Error(`${path} uses require(): a strategy imports at its top only`)
  }
  return places
}

function lexed(path: string, text: string): ReturnType<typeof parse>[0] {
  try {
    return parse(text, path)[0]
  } catch (error) {
    throw new Error(`${path} does not parse: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}

function localImports(path: string, text: string): string[] {
  const targets: string[] = []
  for (const { specifier } of staticImports(path, text)) {
    if (specifier === 'zod') continue
    const target = posix.normalize(posix.join(posix.dirname(path), specifier))
    const local = /^\.\.?\//.test(specifier) && !target.startsWith('../') && target.endsWith('.ts')
    if (!local) {
      throw new Error(`${path} imports '${specifier}': only 'zod' and .ts files below strategies/ may be imported`)
    }
    targets.push(target)
  }
  return targets
}
