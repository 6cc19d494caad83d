/** Rules about texts: no path of one machine, a lock file for every registry, a glossary that is true. */
import { WORDS } from './house.ts'
import type { Rule, Violation } from './source.ts'
import { textLines } from './syntax.ts'

/** Roots of folders that exist on somebody's machine; the architecture test itself writes them in pieces. */
const MACHINE_ROOTS = ['work', 'tmp', 'root', 'home'].join('|')
const MACHINE_PATH = new RegExp(`(^|[\\s'"\`(=:,[])/(${MACHINE_ROOTS})/\\w|\\.\\./${'shared'}\\b`)

export const noMachinePaths: Rule = (files) =>
  textLines(
    'no machine paths',
    files,
    (path) => path !== '.ci/run' && path !== 'package-lock.json',
    (line) =>
      MACHINE_PATH.test(line) ? 'a path of one machine: make it relative, or take it from the configuration' : null,
  )

/** npm writes the address of the registry that it used; another machine has another registry. */
export const lockFile: Rule = (files) =>
  textLines(
    'lock file',
    files,
    (path) => path === 'package-lock.json' || path === 'deno.lock',
    (line) =>
      /"resolved": "http|https?:\/\/[^"\s]*\.tgz/.test(line)
        ? 'names a registry: see omit-lockfile-registry-resolved in .npmrc'
        : null,
  )

interface GlossaryRow {
  word: string
  /** Null for a word whose folder is not there yet. */
  mainFile: string | null
  meaning: string
}

/** Rows `| **Word** | folder | `main file` or not there yet | sentence |` of the README. */
export function glossaryOf(readme: string): GlossaryRow[] {
  return readme.split('\n').flatMap((line) => {
    const match = line.match(/^\|\s*\*\*(\w+)\*\*\s*\|[^|]*\|\s*(?:`([^`]+)`|not there yet)\s*\|\s*([^|]+?)\s*\|$/)
    return match ? [{ word: match[1] ?? '', mainFile: match[2] ?? null, meaning: match[3] ?? '' }] : []
  })
}

/** Each name is one row of README's table, and its main file opens by saying what the name is. */
export const glossary: Rule = (files) => {
  const readme = files.find(({ path }) => path === 'README.md')
  const rows = glossaryOf(readme?.text ?? '')
  const violations: Violation[] = []
  const report = (path: string, message: string): void => {
    violations.push({ rule: 'glossary', path, line: 1, message })
  }
  for (const word of WORDS) {
    const row = rows.find((candidate) => candidate.word === word)
    if (!row) report('README.md', `the glossary has no row for ${word}`)
    else if (row.meaning.length < 20) report('README.md', `the glossary says too little of ${word}`)
    else if (row.mainFile === null) {
      const there = files.find(({ path }) => path.startsWith(`jobs/${word.toLowerCase()}/`))
      if (there) report('README.md', `${word} is there: name its main file`)
    } else {
      const main = files.find(({ path }) => path === row.mainFile)
      if (!main) report('README.md', `${word}'s main file ${row.mainFile} does not exist`)
      else if (!opensWith(main.text, word))
        report(main.path, `opens with a comment whose first sentence says what ${word} is`)
    }
  }
  for (const { word } of rows) {
    if (!WORDS.some((known) => known === word)) report('README.md', `${word} is no name of the house`)
  }
  return violations
}

function opensWith(text: string, word: string): boolean {
  const comment = text.match(/^(?:#![^\n]*\n|<script[^>]*>\n)?\s*(?:<!--|\/\*\*?|\/\/)([\s\S]{0,240})/)
  return comment?.[1]?.split(/\.\s/)[0]?.includes(word) ?? false
}
