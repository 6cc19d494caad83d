/** The files that the rules read, and the little that every rule needs to read them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'

export interface SourceText {
  /** Relative to the repository, with forward slashes. */
  path: string
  text: string
}

export interface Violation {
  rule: string
  path: string
  line: number
  message: string
}

/** A pure function over the files: given the same texts it finds the same violations. */
export type Rule = (files: readonly SourceText[]) => Violation[]

const NOT_OURS = new Set([
  '.git',
  '.weaver',
  'coverage',
  'web/.svelte-kit',
  'web/build',
  'strategies/local',
  'tests/output',
])
const TEXT_FILE =
  /\.(ts|mjs|js|svelte|css|html|sql|json|md|yaml|yml)$|(^|\/)(run|\.npmrc|\.env\.example|\.env\.dev\.example)$/

export function readRepository(root: string): SourceText[] {
  const files: SourceText[] = []
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = posix.join(folder, entry.name)
      if (NOT_OURS.has(path) || entry.name === 'node_modules') continue
      if (entry.isDirectory()) visit(path)
      else if (entry.isFile() && TEXT_FILE.test(path))
        files.push({ path, text: readFileSync(join(root, path), 'utf8') })
    }
  }
  visit('')
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

export const isTest = (path: string): boolean => path.startsWith('tests/') || path.endsWith('.test.ts')
export const isCode = (path: string): boolean => /\.(ts|mjs|svelte)$/.test(path)

const GLOB = new Map<string, RegExp>()
const STARS: Readonly<Record<string, string>> = { '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*' }

/** `*` stands for anything but a slash, `**` for any folders and what is in them, `{a,b}` for either. */
export function matches(path: string, pattern: string): boolean {
  let expression = GLOB.get(pattern)
  if (!expression) {
    const source = pattern
      .replace(/[.+^$()|[\]\\]/g, '\\$&')
      .replace(/\*\*\/|\*\*|\*/g, (stars) => STARS[stars] ?? stars)
      .replace(/\{([^}]*)\}/g, (_, names: string) => `(?:${names.replaceAll(',', '|')})`)
    expression = new RegExp(`^${source}$`)
    GLOB.set(pattern, expression)
  }
  return expression.test(path)
}

export const matchesAny = (path: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => matches(path, pattern))

const parsed = new WeakMap<SourceText, ts.SourceFile>()

export function parse(file: SourceText): ts.SourceFile {
  const known = parsed.get(file)
  if (known) return known
  const text = file.path.endsWith('.svelte') ? scriptsOf(file.text) : file.text
  const tree = ts.createSourceFile(file.path, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)
  parsed.set(file, tree)
  return tree
}

/** A component's scripts with everything else blanked out, so that line numbers stay. */
function scriptsOf(text: string): string {
  let script = ''
  let end = 0
  for (const match of text.matchAll(/(<script\b[^>]*>)([\s\S]*?)<\/script>/g)) {
    const start = match.index + (match[1] ?? '').length
    const body = match[2] ?? ''
    script += blank(text.slice(end, start)) + body
    end = start + body.length
  }
  return script
}

const blank = (text: string): string => text.replace(/[^\n]/g, ' ')

export function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

/** Every violation that `find` reports in the code files among `files`. */
export function inCode(
  rule: string,
  files: readonly SourceText[],
  find: (file: SourceText, tree: ts.SourceFile, report: (node: ts.Node, message: string) => void) => void,
): Violation[] {
  const violations: Violation[] = []
  for (const file of files) {
    if (!isCode(file.path)) continue
    const tree = parse(file)
    find(file, tree, (node, message) => violations.push({ rule, path: file.path, line: lineOf(tree, node), message }))
  }
  return violations
}

export interface Import {
  specifier: string
  /** The repository's file, null for a package or a module of the runtime. */
  target: string | null
  typeOnly: boolean
  /** What is imported by name; empty for a namespace, default or side-effect import. */
  names: string[]
  node: ts.Node
}

/** Static imports, re-exports and `import('…')` with a literal, in the order of the file. */
export function importsOf(file: SourceText): Import[] {
  const found: Import[] = []
  const add = (node: ts.Node, specifier: string, typeOnly: boolean, names: string[]): void => {
    found.push({ specifier, target: targetOf(file.path, specifier), typeOnly, names, node })
  }
  walk(parse(file), (node) => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const clause = node.importClause
      const bindings = clause?.namedBindings
      const elements = bindings && ts.isNamedImports(bindings) ? bindings.elements : []
      const allTypes = elements.length > 0 && !clause?.name && elements.every((element) => element.isTypeOnly)
      const typeOnly = clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || allTypes
      const names = elements.map((element) => (element.propertyName ?? element.name).text)
      add(node, node.moduleSpecifier.text, typeOnly, names)
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
      add(node, node.moduleSpecifier.text, node.isTypeOnly, [])
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      if (argument && ts.isStringLiteralLike(argument)) add(node, argument.text, false, [])
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      const literal = node.argument.literal
      if (ts.isStringLiteral(literal)) add(node, literal.text, true, [])
    }
  })
  return found
}

/** `#lib` is what web/package.json says it is: SvelteKit's folder for code that is not a route. */
function targetOf(path: string, specifier: string): string | null {
  if (specifier.startsWith('#lib/')) return posix.join('web/src/lib', specifier.slice('#lib/'.length))
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null
}

/** `@scope/name` or `name`, without a path inside the package. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
