/** Rules about length. Functions that are longer than the limit are listed in ratchet.json, which may only shrink. */
import ts from 'typescript'
import { LIMITS } from './house.ts'
import { inCode, isTest, lineOf, parse, type Rule, type SourceText, type Violation, walk } from './source.ts'

export const fileLength: Rule = (files) =>
  files
    .filter(({ path }) => /\.(ts|mjs|svelte|sql|css)$/.test(path))
    .flatMap(({ path, text }) => {
      const lines = text.trimEnd().split('\n').length
      const message = `${lines} lines, ${LIMITS.fileLines} are the limit: split it by what it is about`
      return lines > LIMITS.fileLines ? [{ rule: 'file length', path, line: 1, message }] : []
    })

/** Lines by `path#function`, as ratchet.json has them. */
export type Ratchet = Readonly<Record<string, number>>

export function longFunctions(
  files: readonly SourceText[],
): Map<string, { lines: number; path: string; line: number }> {
  const found = new Map<string, { lines: number; path: string; line: number }>()
  for (const file of files) {
    if (!/\.(ts|mjs|svelte)$/.test(file.path) || isTest(file.path)) continue
    const tree = parse(file)
    walk(tree, (node) => {
      if (!ts.isFunctionLike(node) || !('body' in node) || !node.body) return
      const line = lineOf(tree, node)
      const lines = tree.getLineAndCharacterOfPosition(node.end).line + 2 - line
      if (lines > LIMITS.functionLines) found.set(`${file.path}#${nameOf(node)}`, { lines, path: file.path, line })
    })
  }
  return found
}

function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name) return node.name.getText()
  const { parent } = node
  if (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) return parent.name.getText()
  if (ts.isCallExpression(parent)) return `${parent.expression.getText().split('\n')[0]}(…)`
  return 'anonymous'
}

export const functionLength =
  (ratchet: Ratchet): Rule =>
  (files) => {
    const long = longFunctions(files)
    const violations: Violation[] = []
    const report = (path: string, line: number, message: string): void => {
      violations.push({ rule: 'function length', path, line, message })
    }
    for (const [name, { lines, path, line }] of long) {
      const allowed = ratchet[name] ?? LIMITS.functionLines
      if (lines > allowed) report(path, line, `${name} has ${lines} lines, ${allowed} are the limit: split it`)
      else if (lines < allowed) report(path, line, `${name} shrank to ${lines} lines: write ${lines} into ratchet.json`)
    }
    for (const name of Object.keys(ratchet)) {
      if (!long.has(name)) report('tests/architecture/ratchet.json', 1, `${name} is short or gone: remove its line`)
    }
    return violations
  }

/** A number in a name says nothing: `data2`, `handler_new`, `utils`. */
export const fileNames: Rule = (files) =>
  inCode('file names', files, (file, tree, report) => {
    const name = file.path.split('/').at(-1) ?? ''
    if (/^(utils?|helpers?|misc|common|stuff|new|old|temp)\.(ts|mjs)$/.test(name))
      report(tree, 'name the file by what it holds')
  })
