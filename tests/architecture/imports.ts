/** Rules about who may import whom. */
import ts from 'typescript'
import {
  COMMAND_PACKAGES,
  DYNAMIC_IMPORT_FILES,
  type Exception,
  IO_FILES,
  PACKAGE_FENCES,
  ROOMS,
  type Room,
  STARTED_FILES,
} from './house.ts'
import {
  importsOf,
  inCode,
  isCode,
  isTest,
  matchesAny,
  packageOf,
  type Rule,
  type SourceText,
  type Violation,
} from './source.ts'

export const patternsOf = (exceptions: readonly Exception[]): string[] => exceptions.map(({ files }) => files)

/** Modules of the runtime that do no input or output. What is not pure in timers and crypto has a rule of its own. */
const PURE_NODE_MODULES = new Set([
  'assert',
  'assert/strict',
  'buffer',
  'path',
  'path/posix',
  'querystring',
  'url',
  'util',
  'events',
  'stream',
  'crypto',
  'timers',
  'timers/promises',
])

function roomOf(path: string): Room | undefined {
  return ROOMS.find(({ files }) => matchesAny(path, files))
}

export const importMatrix: Rule = (files) =>
  inCode('import matrix', files, (file, tree, report) => {
    const room = roomOf(file.path)
    if (!room) return report(tree, 'belongs to no room of the house: add it to ROOMS in tests/architecture/house.ts')
    for (const { target, specifier, typeOnly, node } of importsOf(file)) {
      if (target) {
        const allowed = typeOnly ? [...room.may, ...(room.types ?? [])] : room.may
        // A strategy in a folder of its own may be split into files of that folder.
        const own = room.is === 'strategies' && target.startsWith(ownStrategyFolder(file.path))
        if (!own && !matchesAny(target, allowed)) {
          report(node, `${room.is} may not import ${typeOnly ? 'the types of ' : ''}${target}`)
        }
      } else if (room.packages && !room.packages.includes(packageOf(specifier))) {
        report(node, `${room.is} may not import '${specifier}'`)
      }
    }
  })

function ownStrategyFolder(path: string): string {
  const folders = path.split('/')
  return folders.length > 2 ? `${folders.slice(0, -1).join('/')}/` : '\0'
}

export const packageFences: Rule = (files) =>
  inCode('package fences', files, (file, _tree, report) => {
    // A declaration file says what another package's types are.
    if (file.path.endsWith('.d.ts')) return
    for (const { target, specifier, node } of importsOf(file)) {
      if (target) continue
      const fence = PACKAGE_FENCES.find(({ packages }) => packages.test(packageOf(specifier)))
      if (fence && !matchesAny(file.path, fence.only)) {
        report(node, `'${specifier}' is for ${fence.only.join(', ')} only: ${fence.because}`)
      }
    }
  })

export const ioFences: Rule = (files) =>
  inCode('input and output', files, (file, tree, report) => {
    if (matchesAny(file.path, patternsOf(IO_FILES))) return
    for (const { specifier, typeOnly, node } of importsOf(file)) {
      if (!specifier.startsWith('node:') || typeOnly) continue
      if (!PURE_NODE_MODULES.has(specifier.slice('node:'.length))) {
        report(node, `'${specifier}' does input or output: take what it gives as an argument`)
      }
    }
    ts.forEachChild(tree, function visit(node): void {
      if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'Deno') {
        report(node, 'Deno.* does input or output: use node: modules in an entry file')
      }
      ts.forEachChild(node, visit)
    })
  })

export const dynamicImports: Rule = (files) =>
  inCode('dynamic imports', files, (file, tree, report) => {
    if (matchesAny(file.path, patternsOf(DYNAMIC_IMPORT_FILES)) || isTest(file.path)) return
    ts.forEachChild(tree, function visit(node): void {
      if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const [argument] = node.arguments
        if (!argument || !ts.isStringLiteralLike(argument))
          report(node, 'only the strategy loader imports what it cannot name')
      }
      ts.forEachChild(node, visit)
    })
  })

/** Imports of types vanish before the code runs, so they close no cycle. */
export const importCycles: Rule = (files) => {
  const graph = new Map<string, string[]>()
  for (const file of files) {
    if (!isCode(file.path)) continue
    graph.set(
      file.path,
      importsOf(file).flatMap(({ target, typeOnly }) => (target && !typeOnly ? [target] : [])),
    )
  }
  const violations: Violation[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const cycle = [...trail.slice(start), path].join(' → ')
      violations.push({ rule: 'import cycles', path, line: 1, message: cycle })
      return
    }
    if (done.has(path)) return
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
  return violations
}

/** A file that only tests import is dead as well. */
export const deadFiles: Rule = (files) => {
  const started = patternsOf(STARTED_FILES)
  const used = new Set<string>()
  for (const file of files) {
    if (!isCode(file.path) || isTest(file.path)) continue
    for (const { target } of importsOf(file)) if (target) used.add(target)
  }
  return files
    .filter(({ path }) => isCode(path) && !used.has(path) && !matchesAny(path, started))
    .map(({ path }) => ({ rule: 'dead files', path, line: 1, message: 'nothing but tests imports it' }))
}

/** Types of a package come from its own @types package; a peer of a used package counts as used. */
export const declaredPackages: Rule = (files) => {
  const manifest = files.find(({ path }) => path === 'package.json')
  if (!manifest) return []
  const declared = declaredIn(manifest)
  const used = new Set<string>()
  const violations = inCode('declared packages', files, (file, _tree, report) => {
    for (const { target, specifier, node } of importsOf(file)) {
      if (target || /^(node:|\$|virtual:)/.test(specifier)) continue
      const name = packageOf(specifier)
      used.add(name)
      if (!declared.has(name)) report(node, `package.json does not declare '${name}'`)
    }
  })
  for (const name of declared) {
    if (used.has(name) || name.startsWith('@types/') || COMMAND_PACKAGES[name]) continue
    const message = `no file imports '${name}': remove it, or say in COMMAND_PACKAGES what it is for`
    violations.push({ rule: 'declared packages', path: 'package.json', line: 1, message })
  }
  return violations
}

function declaredIn(manifest: SourceText): Set<string> {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(manifest.text) as Record<
    string,
    Record<string, string>
  >
  return new Set([...Object.keys(dependencies), ...Object.keys(devDependencies)])
}
