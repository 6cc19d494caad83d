/** Rules about SQL: where it may stand, and who may write which table. */
import ts from 'typescript'
import { inCode, isTest, matchesAny, type Rule, type SourceText, walk } from './source.ts'

const STATEMENT =
  /\b(insert\s+into\s+[\w."]|update\s+(only\s+)?[\w."]+\s+(as\s+\w+\s+|\w+\s+)?set\b|delete\s+from\s+[\w."]|truncate\s+(table\s+)?[\w]+\.|(create|alter|drop)\s+(or\s+replace\s+)?(unique\s+)?(table|schema|index|role|view|function|trigger)\b)/i
const QUERY = /^\s*(select\s[\s\S]*\bfrom\s|with\s+(recursive\s+)?\w+\s+as\s*\(|copy\s+[\s\S]*\b(from|to)\s+std)/i

export const sqlBelowDb: Rule = (files) =>
  inCode('SQL below db/', files, (file, tree, report) => {
    if (file.path.startsWith('db/') || isTest(file.path)) return
    walk(tree, (node) => {
      const text = textOf(node)
      if (text !== null && (STATEMENT.test(text) || QUERY.test(text))) {
        report(node, `SQL outside db/: ${text.trim().slice(0, 60).replace(/\s+/g, ' ')}`)
      }
    })
  })

/** The text of a string or of a template, its expressions replaced by a name. */
function textOf(node: ts.Node): string | null {
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return null
  return node.head.text + node.templateSpans.map(({ literal }) => `x${literal.text}`).join('')
}

const WRITE =
  /\b(?:insert\s+into|update(?:\s+only)?|delete\s+from|truncate(?:\s+table)?|copy)\s+(?:only\s+)?weaver\.("?)(\w+)\1/gi

/** Business tables are WallE's, the log's tables are Events', the simulator's book is its own; migrations make them all. */
export const oneWritePath: Rule = (files) => {
  const { business, log, sim } = tablesOf(files)
  return inCode('one write path', files, (file, tree, report) => {
    if (!file.path.endsWith('.ts') || isTest(file.path)) return
    walk(tree, (node) => {
      const text = textOf(node)
      if (text === null) return
      for (const match of text.matchAll(WRITE)) {
        if (/^copy/i.test(match[0]) && !/from\s+stdin/i.test(text)) continue
        const table = match[2] ?? ''
        if (business.has(table) && !matchesAny(file.path, ['db/walle/**']))
          report(node, `weaver.${table} is written in db/walle only`)
        if (log.has(table) && !matchesAny(file.path, ['db/events/**']))
          report(node, `weaver.${table} is written in db/events only`)
        if (sim.has(table) && file.path !== 'db/sim_venue.ts')
          report(node, `weaver.${table} is the book of a venue: it is written in db/sim_venue.ts only`)
      }
    })
  })
}

/** Two that are released have other names. */
const BUSINESS = /business|012\.do\.venues|014\.do\.market_data/

/** Which tables there are, as the migrations make them; `business` or `sim_venue` in a file's name tells them apart. */
function tablesOf(files: readonly SourceText[]): Record<'business' | 'log' | 'sim', Set<string>> {
  const tables = { business: new Set<string>(), log: new Set<string>(), sim: new Set<string>() }
  for (const { path, text } of files) {
    if (!matchesAny(path, ['db/migrations/*.sql'])) continue
    const kind = BUSINESS.test(path) ? tables.business : path.includes('sim_venue') ? tables.sim : tables.log
    for (const match of text.matchAll(/create\s+table\s+(?:if\s+not\s+exists\s+)?weaver\.(\w+)/gi))
      kind.add(match[1] ?? '')
  }
  return tables
}
