/** The pages tell the truth: their examples run, their links lead somewhere, their tables are the code's. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { riskVariables } from '../jobs/config/risk.ts'
import { notifyVariables } from '../jobs/notify/config.ts'
import { VARIABLES as simVariables } from '../jobs/veda/adapters/sim/settings.ts'
import { createTestDatabase, type TestDatabase } from './support/database.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = ['README.md', 'CHANGELOG.md', ...markdownIn('docs'), ...markdownIn('docs/adr')]

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`)
}

/** The fenced blocks of a page in one language. */
function examples(path: string, language: string): string[] {
  return [...read(path).matchAll(/```(\w+)\n([\s\S]*?)```/g)].flatMap(([, found, text]) =>
    found === language ? [text ?? ''] : [],
  )
}

test.each(pages)('every link of %s leads to a file', (page) => {
  const targets = [...read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, target]) => target ?? '')
  const folder = page.includes('/') ? page.slice(0, page.lastIndexOf('/')) : '.'
  expect(targets.filter((target) => !existsSync(join(root, folder, target)))).toEqual([])
})

test('every file that README names exists', () => {
  const named = [...read('README.md').matchAll(/`((?:strategies|db|jobs|api|web|tests|docs)\/[\w./+-]+)`/g)].map(
    ([, path]) => path ?? '',
  )
  expect(named.length).toBeGreaterThan(10)
  const example = 'strategies/local/dip.ts'
  expect(named.filter((path) => path !== example && !existsSync(join(root, path)))).toEqual([])
})

test('the variables that docs/operations.md tells of are those of the template and of the configuration', () => {
  const told = [...read('docs/operations.md').matchAll(/^\| `([A-Z_]+)`\s*\|/gm)].map(([, name]) => name ?? '')
  const template = [...read('.env.example').matchAll(/^# ([A-Z_]+)=/gm)].map(([, name]) => name ?? '')
  const own = [...read('jobs/config/config.ts').matchAll(/^ {2}([A-Z_]+): /gm)].map(([, name]) => name)
  const known = [...own, ...Object.keys(riskVariables), ...Object.keys(notifyVariables), ...Object.values(simVariables)]
  const others = (names: string[]) => names.filter((name) => !name.startsWith('ALPACA_')).toSorted()
  expect(others(told)).toEqual(known.toSorted())
  expect(others(template)).toEqual(known.toSorted())
  const alpaca = template.filter((name) => name.startsWith('ALPACA_'))
  expect(alpaca.length).toBe(11)
  expect(alpaca.filter((name) => !read('docs/operations.md').includes(`\`${name}\``))).toEqual([])
})

describe('the strategies on the pages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weaver-docs-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test.each([
    ['README.md', 'dip'],
    ['docs/strategies.md', 'my_cross'],
  ])('%s shows a strategy that loads', async (page, id) => {
    const [text = ''] = examples(page, 'ts')
    const file = join(folder, `${id}.ts`)
    writeFileSync(file, text.replaceAll(`'../`, `'${pathToFileURL(join(root, 'strategies'))}/`))
    const { default: strategy } = await import(/* @vite-ignore */ pathToFileURL(file).href)
    expect(strategy).toMatchObject({ id, version: '1' })
    const params = strategy.params.parse({})
    expect(strategy.window(params).bars).toBeGreaterThan(0)
  })
})

describe('the questions on docs/operations.md', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase()
  })
  afterAll(() => database?.drop())

  const questions = examples('docs/operations.md', 'sql')
    .flatMap((block) => block.split(';'))
    .map((text) => text.trim())
    .filter((text) => text !== '')

  test.each(questions)('%s', async (question) => {
    const anyId = `'00000000-0000-4000-8000-000000000000'`
    const rows = await database.db.reader.query(question.replaceAll(`'…'`, anyId))
    expect(rows).toEqual([])
  })
})
