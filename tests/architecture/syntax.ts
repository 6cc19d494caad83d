/** Rules about the language: erasable TypeScript without back doors, tests that can be read and found. */
import ts from 'typescript'
import { inCode, isTest, type Rule, type Violation, walk } from './source.ts'

export const noAny: Rule = (files) =>
  inCode('no any', files, (_file, tree, report) => {
    walk(tree, (node) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) report(node, 'say the type, or take unknown and narrow it')
    })
  })

export const erasableSyntax: Rule = (files) =>
  inCode('erasable syntax', files, (file, tree, report) => {
    if (file.path.endsWith('.d.ts')) return
    walk(tree, (node) => {
      if (ts.isEnumDeclaration(node)) report(node, 'no enum: use a const array and a union')
      if (ts.isModuleDeclaration(node) && node.body && ts.isIdentifier(node.name))
        report(node, 'no namespace: use a module')
      if (ts.isParameter(node) && ts.isParameterPropertyDeclaration(node, node.parent)) {
        report(node, 'no parameter property: declare the field')
      }
    })
  })

/** Comments that switch a checker off hide what the checker found. */
export const noSilencing: Rule = (files) =>
  textLines('no silencing', files, isCodeLike, (line) => {
    if (/@ts-(ignore|nocheck)\b/.test(line))
      return 'use the right type; @ts-expect-error with a reason if there is none'
    if (/@ts-expect-error\s*$/.test(line)) return 'say why the error is expected'
    if (/biome-ignore[^:]*$/.test(line)) return 'say why the rule does not hold here'
    return null
  })

const MARKS = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`)

export const noLeftovers: Rule = (files) =>
  textLines(
    'no leftovers',
    files,
    (path) => path !== 'package-lock.json',
    (line) => (MARKS.test(line) ? 'finish it, or write an issue' : null),
  )

const isCodeLike = (path: string): boolean => /\.(ts|mjs|js|svelte|sql)$/.test(path)

export function textLines(
  rule: string,
  files: Parameters<Rule>[0],
  concerns: (path: string) => boolean,
  judge: (line: string, path: string) => string | null,
): Violation[] {
  return files
    .filter(({ path }) => concerns(path))
    .flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, index) => {
        const message = judge(line, path)
        return message ? [{ rule, path, line: index + 1, message }] : []
      }),
    )
}

/** A title is what a failing test says: it is not empty, not twice in a file, and nobody runs a part of a file only. */
export const testTitles: Rule = (files) =>
  inCode('test titles', files, (file, tree, report) => {
    if (!file.path.endsWith('.test.ts')) return
    const seen = new Set<string>()
    walk(tree, (node) => {
      if (!ts.isCallExpression(node)) return
      const callee = node.expression.getText(tree)
      if (/^(test|it|describe)\.(only|todo)\b/.test(callee))
        report(node, `${callee}: run every test, and write it when you name it`)
      if (/^(test|it|describe)\.skip$/.test(callee)) report(node, `${callee}: say on what it depends with skipIf`)
      if (!/^(test|it)(\.|$)/.test(callee) || /^(test|it)\.(each|for|skipIf|runIf|extend)$/.test(callee)) return
      const [title] = node.arguments
      if (!title || !ts.isStringLiteralLike(title)) return
      // A table's rows bring their own titles.
      const isTemplate = /[%$]\w/.test(title.text)
      if (!isTemplate && title.text.trim().split(/\s+/).length < 2)
        report(title, 'a title is a sentence about behaviour')
      const key = `${enclosingSuites(node)}${title.text}`
      if (seen.has(key)) report(title, `two tests are called '${title.text}'`)
      seen.add(key)
    })
  }).filter(({ path }) => isTest(path))

function enclosingSuites(node: ts.Node): string {
  let suites = ''
  for (let scope = node.parent; scope; scope = scope.parent) {
    if (ts.isCallExpression(scope) && /^describe\b/.test(scope.expression.getText()))
      suites = `${scope.getStart()}/${suites}`
  }
  return suites
}
