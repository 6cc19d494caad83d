/** Rules about what code may call: clocks, randomness, environment, printing, sleeping. */
import ts from 'typescript'
import { CLOCK_FILES, ENVIRONMENT_FILES, PRINTING_FILES } from './house.ts'
import { patternsOf } from './imports.ts'
import { importsOf, inCode, isTest, matchesAny, type Rule, walk } from './source.ts'

const BANNED_MEMBERS: Readonly<Record<string, string>> = {
  'Date.now': 'take `now: () => number`',
  'performance.now': 'take `now: () => number`',
  'process.hrtime': 'take `now: () => number`',
  'Math.random': 'take a seeded generator or `newId: () => string`',
  'crypto.randomUUID': 'take `newId: () => string`',
  'crypto.getRandomValues': 'take a seeded generator or `newId: () => string`',
}
const BANNED_GLOBALS: Readonly<Record<string, string>> = {
  setTimeout: 'take `sleep`',
  setInterval: 'take `sleep`',
  setImmediate: 'take `sleep`',
}
const BANNED_IMPORTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'node:crypto': {
    randomUUID: 'take `newId: () => string`',
    randomBytes: 'take a seeded generator',
    randomInt: 'take a seeded generator',
  },
  'node:timers': { setTimeout: 'take `sleep`', setInterval: 'take `sleep`' },
  'node:timers/promises': { setTimeout: 'take `sleep`', setInterval: 'take `sleep`', scheduler: 'take `sleep`' },
  uuid: { v4: 'take `newId: () => string`', v7: 'take `newId: () => string`', v1: 'take `newId: () => string`' },
}

export const clockAndRandomness: Rule = (files) =>
  inCode('clock and randomness', files, (file, tree, report) => {
    if (matchesAny(file.path, patternsOf(CLOCK_FILES)) || isTest(file.path)) return
    for (const { specifier, names, node } of importsOf(file)) {
      for (const name of names) {
        const instead = BANNED_IMPORTS[specifier]?.[name]
        if (instead) report(node, `${name} of '${specifier}' is banned here: ${instead}`)
      }
    }
    walk(tree, (node) => {
      const name = memberName(node)
      const instead = name && BANNED_MEMBERS[name]
      if (instead) report(node, `${name} is banned here: ${instead}`)
      if (ts.isIdentifier(node) && Object.hasOwn(BANNED_GLOBALS, node.text) && isFreeReference(node)) {
        report(node, `${node.text} is banned here: ${BANNED_GLOBALS[node.text]}`)
      }
      const isDate = (ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText(tree) === 'Date'
      if (isDate && (ts.isCallExpression(node) || !node.arguments?.length)) {
        report(node, 'the present moment is banned here: take `now: () => number`')
      }
    })
  })

/** `a.b` of an access to a member, also when it is reached through globalThis. */
function memberName(node: ts.Node): string | null {
  if (!ts.isPropertyAccessExpression(node)) return null
  const object = node.expression
  if (ts.isIdentifier(object)) return `${object.text}.${node.name.text}`
  if (ts.isPropertyAccessExpression(object) && object.expression.getText() === 'globalThis') {
    return `${object.name.text}.${node.name.text}`
  }
  return null
}

/** True for the global's name in an expression; false for a member, a parameter, a key or a type of that name. */
function isFreeReference(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return parent.expression.getText() === 'globalThis'
  if (ts.isPropertyAssignment(parent) && parent.name === node) return false
  const declares =
    ts.isParameter(parent) ||
    ts.isBindingElement(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isImportSpecifier(parent)
  return !declares && !ts.isTypeQueryNode(parent) && !isDeclaredAbove(node)
}

/** A parameter or destructured argument of that name in an enclosing function shadows the global. */
function isDeclaredAbove(node: ts.Identifier): boolean {
  for (let scope: ts.Node | undefined = node.parent; scope; scope = scope.parent) {
    if (ts.isFunctionLike(scope) && scope.parameters.some((parameter) => bindsName(parameter.name, node.text)))
      return true
  }
  return false
}

function bindsName(name: ts.BindingName, wanted: string): boolean {
  if (ts.isIdentifier(name)) return name.text === wanted
  return name.elements.some((element) => ts.isBindingElement(element) && bindsName(element.name, wanted))
}

export const environment: Rule = (files) =>
  inCode('environment', files, (file, tree, report) => {
    if (matchesAny(file.path, patternsOf(ENVIRONMENT_FILES)) || isTest(file.path)) return
    walk(tree, (node) => {
      const name = memberName(node)
      if (name === 'process.env' || name === 'Deno.env') report(node, `${name} is read in jobs/config/config.ts, once`)
    })
  })

export const printing: Rule = (files) =>
  inCode('printing', files, (file, tree, report) => {
    if (matchesAny(file.path, patternsOf(PRINTING_FILES))) return
    walk(tree, (node) => {
      const name = memberName(node)
      if (name?.startsWith('console.')) report(node, `${name}: use the logger, or return what there is to say`)
    })
  })

/** A test that awaits what a timer alone resolves waits for time instead of for a condition. */
export const sleepingTests: Rule = (files) =>
  inCode('sleeping tests', files, (file, tree, report) => {
    if (!isTest(file.path) || matchesAny(file.path, ['tests/support/**', 'tests/bench/**'])) return
    const sleeps = new Set(['sleep', 'delay', ...namesOfSleep(tree)])
    walk(tree, (node) => {
      if (ts.isAwaitExpression(node) && ts.isCallExpression(node.expression)) {
        if (sleeps.has(node.expression.expression.getText(tree)))
          report(node, 'wait for a condition: a test does not sleep')
      }
    })
    walk(tree, (node) => {
      if (!ts.isCallExpression(node) || !/^(globalThis\.)?setTimeout$/.test(node.expression.getText(tree))) return
      const resolve = resolverOfAwaited(node)
      const callback = node.arguments[0]
      if (resolve && callback && callsOnly(callback, resolve))
        report(node, 'wait for a condition: a test does not sleep')
    })
  })

/** What the file calls the sleeping setTimeout of node:timers/promises. */
function namesOfSleep(tree: ts.SourceFile): Set<string> {
  const names = new Set<string>()
  walk(tree, (node) => {
    if (!ts.isImportSpecifier(node) || (node.propertyName ?? node.name).text !== 'setTimeout') return
    const { moduleSpecifier } = node.parent.parent.parent as ts.ImportDeclaration
    if (moduleSpecifier.getText(tree).includes('timers/promises')) names.add(node.name.text)
  })
  return names
}

/** The name of `resolve` when the node lies in the executor of an awaited `new Promise`. */
function resolverOfAwaited(node: ts.Node): string | null {
  for (let scope: ts.Node | undefined = node.parent; scope; scope = scope.parent) {
    if (!ts.isFunctionLike(scope) || !ts.isNewExpression(scope.parent)) continue
    const isAwaited = scope.parent.expression.getText() === 'Promise' && ts.isAwaitExpression(scope.parent.parent)
    return isAwaited ? (scope.parameters[0]?.name.getText() ?? null) : null
  }
  return null
}

function callsOnly(callback: ts.Node, name: string): boolean {
  if (ts.isIdentifier(callback)) return callback.text === name
  if (!ts.isArrowFunction(callback)) return false
  return callback.body
    .getText()
    .replace(/^\{\s*|\s*\}$/g, '')
    .startsWith(`${name}(`)
}
