/** The style guide as a test: every rule is proven by a bad example, then holds for the repository. */
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { clockAndRandomness, environment, printing, sleepingTests } from './architecture/calls.ts'
import {
  deadFiles,
  declaredPackages,
  dynamicImports,
  importCycles,
  importMatrix,
  ioFences,
  packageFences,
} from './architecture/imports.ts'
import ratchet from './architecture/ratchet.json' with { type: 'json' }
import { fileLength, fileNames, functionLength } from './architecture/size.ts'
import { type Rule, readRepository, type SourceText } from './architecture/source.ts'
import { oneWritePath, sqlBelowDb } from './architecture/sql.ts'
import { erasableSyntax, noAny, noLeftovers, noSilencing, testTitles } from './architecture/syntax.ts'
import { glossary, lockFile, noMachinePaths } from './architecture/text.ts'

const repository = readRepository(fileURLToPath(new URL('..', import.meta.url)))

/** `path: text` of a virtual file, several of them as an object. */
type Example = Record<string, string>

interface Proof {
  rule: Rule
  /** The rule as it holds here, when the examples have exceptions of their own. */
  inRepository?: Rule
  bad: Example[]
  good: Example[]
}

const filesOf = (example: Example): SourceText[] => Object.entries(example).map(([path, text]) => ({ path, text }))
const lines = (count: number): string => 'work()\n'.repeat(count)
const mark = ['TO', 'DO'].join('')
const machinePath = ['', 'work', 'data'].join('/')
const tables = {
  'db/migrations/002.do.business_tables.sql': 'create table weaver.runs (id uuid)',
  'db/migrations/003.do.log.sql': 'create table weaver.outbox (id bigint)',
  'db/migrations/013.do.sim_venue.sql': 'create table weaver.sim_orders (id bigint)',
}
const sqlText = (verb: string, table: string): string =>
  verb === 'insert'
    ? `export const q = 'insert into weaver.${table} values ($1)'`
    : `export const q = \`update weaver.${table} set a = $1\``
const row = (word: string): string => `| **${word}** | x | \`${word}.ts\` | One sentence that says what it is. |`
const WORDS = ['GLaDOS', 'Events', 'Veda', 'Greta', 'Marvin', 'WallE', 'Haro']
const house = Object.fromEntries(WORDS.map((word) => [`${word}.ts`, `/** ${word} is a word of the house. */\n`]))
const readme = WORDS.map(row).join('\n')

const PROOFS: Record<string, Proof> = {
  'rooms import only what the plan allows': {
    rule: importMatrix,
    bad: [
      { 'strategies/mine.ts': `import { x } from '../jobs/greta/fills.ts'` },
      { 'strategies/mine.ts': `import { readFileSync } from 'node:fs'` },
      { 'strategies/api.ts': `import big from 'big.js'` },
      { 'db/events/append.ts': `import { run } from '../../jobs/runner.ts'` },
      { 'db/walle/record.ts': `import type { App } from '../../api/app.ts'` },
      { 'jobs/greta/chunk.ts': `import { start } from '../glados/commands.ts'` },
      { 'jobs/greta/chunk.ts': `import { record } from '../../db/walle/record.ts'` },
      { 'api/routes/runs.ts': `import { record } from '../../db/walle/record.ts'` },
      { 'api/routes/runs.ts': `import { run } from '../../jobs/runner.ts'` },
      { 'web/src/lib/client.ts': `import { schema } from '../../../api/schemas.ts'` },
      { 'web/src/routes/+page.svelte': `<script lang="ts">\nimport { x } from '../../../db/client.ts'\n</script>` },
      { 'jobs/greta/chunk.ts': `const { start } = await import('../glados/commands.ts')` },
      { 'jobs/worker.ts': `import { app } from '../api/app.ts'` },
      { 'attic/old.ts': `export const x = 1` },
    ],
    good: [
      { 'strategies/mine.ts': `import { defineStrategy, z } from './api.ts'\nimport { sma } from './indicators.ts'` },
      { 'strategies/mine/index.ts': `import { signal } from './signal.ts'` },
      { 'strategies/mine.test.ts': `import { play } from './testing.ts'\nimport { test } from 'vitest'` },
      {
        'jobs/greta/chunk.ts': `import type { TickPort } from '../marvin/contract.ts'\nimport { append } from '../../db/events/append.ts'`,
      },
      { 'jobs/worker.ts': `import { record } from '../db/walle/record.ts'` },
      { 'db/client.test.ts': `import { createTestDatabase } from '../tests/support/database.ts'` },
      { 'web/src/routes/+page.svelte': `<script lang="ts">\nimport { get } from '#lib/api.ts'\n</script>` },
      { 'api/routes/runs.ts': `import { createRun } from '../../jobs/glados/commands.ts'` },
      { 'web/src/lib/client.ts': `import type { Run } from '../../../api/schemas.ts'` },
    ],
  },
  'packages with a fence stay behind it': {
    rule: packageFences,
    bad: [
      { 'db/walle/record.ts': `import { Pool } from 'pg'` },
      { 'db/walle/record.ts': `import { from } from 'pg-copy-streams'` },
      { 'jobs/glados/router.ts': `import { run } from 'graphile-worker'` },
      { 'jobs/veda/orders.ts': `import { Client } from '@alpacahq/alpaca-trade-api'` },
      { 'api/app.ts': `import { mount } from 'svelte'` },
    ],
    good: [
      { 'db/client.ts': `import { Pool } from 'pg'` },
      { 'jobs/runner.ts': `import { run } from 'graphile-worker'` },
      { 'jobs/veda/adapters/alpaca/client.ts': `import { Client } from '@alpacahq/alpaca-trade-api'` },
    ],
  },
  'input and output happen at the edge': {
    rule: ioFences,
    bad: [
      { 'jobs/greta/chunk.ts': `import { readFileSync } from 'node:fs'` },
      { 'jobs/greta/chunk.ts': `const text = Deno.readTextFileSync('x')` },
    ],
    good: [
      { 'jobs/greta/result_hash.ts': `import { createHash } from 'node:crypto'` },
      { 'jobs/hosts/main.ts': `import { readFileSync } from 'node:fs'` },
    ],
  },
  'only the strategy loader imports what it cannot name': {
    rule: dynamicImports,
    bad: [{ 'jobs/glados/router.ts': `export const load = (path: string) => import(path)` }],
    good: [{ 'jobs/marvin/host_load.ts': `export const load = (path: string) => import(path)` }],
  },
  'imports form no cycle': {
    rule: importCycles,
    bad: [
      {
        'a.ts': `import { b } from './b.ts'`,
        'b.ts': `import { c } from './c.ts'`,
        'c.ts': `export { a } from './a.ts'`,
      },
    ],
    good: [
      { 'a.ts': `import { b } from './b.ts'`, 'b.ts': `import type { A } from './a.ts'` },
      { 'a.ts': `import { c } from './c.ts'`, 'b.ts': `import { c } from './c.ts'`, 'c.ts': '' },
    ],
  },
  'every file is used by something': {
    rule: deadFiles,
    bad: [{ 'jobs/greta/old.ts': '', 'jobs/greta/old.test.ts': `import { x } from './old.ts'` }],
    good: [
      {
        'jobs/greta/fills.ts': '',
        'jobs/tasks.ts': `import { x } from './greta/fills.ts'`,
        'jobs/hosts/main.ts': `import '../tasks.ts'`,
      },
    ],
  },
  'package.json declares what is imported, and no more': {
    rule: declaredPackages,
    bad: [
      { 'package.json': '{"dependencies":{}}', 'api/app.ts': `import { Hono } from 'hono'` },
      { 'package.json': '{"dependencies":{"hono":"1.0.0"}}', 'api/app.ts': '' },
    ],
    good: [{ 'package.json': '{"dependencies":{"hono":"1.0.0"}}', 'api/app.ts': `import { Hono } from 'hono/tiny'` }],
  },
  'the clock, timers and randomness are handed in': {
    rule: clockAndRandomness,
    bad: [
      { 'jobs/greta/chunk.ts': 'const t = Date.now()' },
      { 'jobs/greta/chunk.ts': 'const clock = { now: Date.now }' },
      { 'jobs/greta/chunk.ts': 'const t = new Date()' },
      { 'jobs/greta/chunk.ts': 'const t = Date()' },
      { 'jobs/greta/chunk.ts': 'const r = Math.random()' },
      { 'jobs/greta/chunk.ts': 'const id = globalThis.crypto.randomUUID()' },
      { 'jobs/greta/chunk.ts': `import { randomUUID } from 'node:crypto'` },
      { 'jobs/greta/chunk.ts': `import { randomBytes } from 'node:crypto'` },
      { 'jobs/greta/chunk.ts': `import { v4 as newId } from 'uuid'` },
      { 'jobs/greta/chunk.ts': 'setTimeout(() => stop(), 5)' },
      { 'jobs/greta/chunk.ts': 'globalThis.setInterval(tick, 5)' },
      { 'jobs/greta/chunk.ts': `import { setTimeout as sleep } from 'node:timers/promises'` },
    ],
    good: [
      { 'jobs/greta/chunk.ts': 'const day = new Date(bar.time).toISOString()' },
      { 'jobs/greta/chunk.ts': 'function start({ setTimeout }: Timers) { setTimeout(stop, 5) }' },
      { 'jobs/greta/chunk.ts': `import { v5 } from 'uuid'\ninterface Timers { setTimeout: typeof setTimeout }` },
      { 'jobs/glados/clock.ts': 'const t = Date.now()' },
      { 'jobs/greta/chunk.test.ts': 'const t = Date.now()' },
    ],
  },
  'the environment is read once': {
    rule: environment,
    bad: [
      { 'db/client.ts': 'const url = process.env.DATABASE_URL' },
      { 'api/app.ts': `const port = Deno.env.get('PORT')` },
    ],
    good: [{ 'jobs/config/config.ts': 'const url = process.env.DATABASE_URL' }],
  },
  'only the command line prints': {
    rule: printing,
    bad: [{ 'jobs/greta/chunk.ts': `console.log('done')` }, { 'api/app.ts': `console.error('failed')` }],
    good: [{ 'jobs/cli/backtest.ts': `console.log('done')` }, { 'jobs/greta/chunk.ts': `log.info('done')` }],
  },
  'tests wait for conditions': {
    rule: sleepingTests,
    bad: [
      { 'tests/chaos/kill.test.ts': 'await new Promise((resolve) => setTimeout(resolve, 50))' },
      { 'tests/chaos/kill.test.ts': `import { sleep } from '../support/until.ts'\nawait sleep(50)` },
      { 'jobs/greta/chunk.test.ts': 'await new Promise<void>((done) => { setTimeout(() => done(), 50) })' },
      { 'jobs/greta/chunk.test.ts': `import { setTimeout as sleep } from 'node:timers/promises'\nawait sleep(50)` },
    ],
    good: [
      { 'db/log.test.ts': `import { setTimeout as sleep } from 'node:timers/promises'\ncreateSequencer({ sleep })` },
      { 'db/log.test.ts': 'start({ sleep: (ms) => new Promise((done) => setTimeout(done, ms)) })' },
      {
        'tests/chaos/kill.test.ts': `await new Promise((resolve, reject) => { once(resolve); setTimeout(() => reject(new Error('late')), 9000) })`,
      },
      { 'tests/support/wait.ts': 'await new Promise((resolve) => setTimeout(resolve, 50))' },
    ],
  },
  'SQL stands below db/': {
    rule: sqlBelowDb,
    bad: [
      { 'api/routes/runs.ts': `const q = 'select id from weaver.runs'` },
      { 'jobs/greta/chunk.ts': `const q = \`insert into \${table} values ($1)\`` },
      { 'jobs/greta/chunk.ts': 'const q = `update weaver.runs r set status = $1`' },
      { 'jobs/greta/chunk.ts': `const q = 'DELETE FROM weaver.runs'` },
      { 'jobs/greta/chunk.ts': `const q = 'truncate table weaver.runs'` },
      { 'jobs/cli/migrate.ts': `const q = 'create schema if not exists weaver'` },
    ],
    good: [
      { 'db/walle/queries/runs.ts': `const q = 'select id from weaver.runs'` },
      { 'tests/roles.test.ts': `const q = 'delete from weaver.runs'` },
      { 'jobs/cli/doctor.ts': `const advice = 'select a strategy, then update the settings; delete what is old'` },
    ],
  },
  'business tables are written by WallE and the log by Events': {
    rule: oneWritePath,
    bad: [
      { ...tables, 'db/events/append.ts': sqlText('insert', 'runs') },
      { ...tables, 'db/walle/record.ts': sqlText('update', 'outbox') },
      { ...tables, 'db/client.ts': `const q = 'copy weaver.runs (id) from stdin'` },
      { ...tables, 'db/walle/record.ts': sqlText('update', 'sim_orders') },
      { ...tables, 'db/sim_venue.ts': sqlText('update', 'runs') },
    ],
    good: [
      { ...tables, 'db/events/append.ts': sqlText('insert', 'outbox') },
      { ...tables, 'db/walle/record.ts': sqlText('update', 'runs') },
      { ...tables, 'db/sim_venue.ts': sqlText('update', 'sim_orders') },
      { ...tables, 'db/events/read.ts': `const q = 'select * from weaver.runs'` },
    ],
  },
  'no value has the type any': {
    rule: noAny,
    bad: [{ 'a.ts': 'const x: any = 1' }, { 'a.ts': 'const x = y as any[]' }],
    good: [{ 'a.ts': `const any: unknown = 'any'` }],
  },
  'the source runs with its types stripped': {
    rule: erasableSyntax,
    bad: [
      { 'a.ts': 'enum Side { Buy, Sell }' },
      { 'a.ts': 'class A { constructor(private readonly x: number) {} }' },
      { 'a.ts': 'namespace N { export const x = 1 }' },
    ],
    good: [{ 'a.ts': 'class A { readonly x: number; constructor(x: number) { this.x = x } }' }],
  },
  'no checker is switched off without a reason': {
    rule: noSilencing,
    bad: [
      { 'a.ts': `// ${'@ts'}-ignore` },
      { 'a.ts': `// ${'@ts'}-expect-error` },
      { 'a.ts': `// biome${'-ignore'} lint/x` },
    ],
    good: [{ 'a.ts': '// @ts-expect-error a strategy must not see the wall clock' }],
  },
  'nothing is left to be done in a comment': {
    rule: noLeftovers,
    bad: [{ 'a.ts': `// ${mark}: later` }, { 'db/migrations/1.sql': `-- ${mark} index` }, { 'docs/x.md': `${mark}` }],
    good: [{ 'a.ts': `const ${mark.toLowerCase()} = 1` }],
  },
  'test titles are sentences, told apart, and none is singled out': {
    rule: testTitles,
    bad: [
      { 'a.test.ts': `test('', () => {})` },
      { 'a.test.ts': `test('works', () => {})` },
      { 'a.test.ts': `test('a fill is booked', f)\ntest('a fill is booked', g)` },
      { 'a.test.ts': `test.only('a fill is booked', f)` },
    ],
    good: [
      { 'a.test.ts': `test('a fill is booked', f)\ntest.each(rows)('%s', g)` },
      {
        'a.test.ts': `describe('buy', () => test('is booked once', f))\ndescribe('sell', () => test('is booked once', f))`,
      },
    ],
  },
  'files stay short': {
    rule: fileLength,
    bad: [{ 'jobs/greta/chunk.ts': lines(501) }],
    good: [{ 'jobs/greta/chunk.ts': lines(500) }],
  },
  'functions stay short': {
    rule: functionLength({}),
    inRepository: functionLength(ratchet),
    bad: [{ 'jobs/greta/chunk.ts': `function run() {\n${lines(69)}}` }],
    good: [{ 'jobs/greta/chunk.ts': `const run = () => {\n${lines(68)}}` }],
  },
  'functions that were long may only shrink': {
    rule: functionLength({ 'jobs/greta/known.ts#run': 80 }),
    inRepository: functionLength(ratchet),
    bad: [
      { 'jobs/greta/known.ts': `function run() {\n${lines(79)}}` },
      { 'jobs/greta/known.ts': `function run() {\n${lines(77)}}` },
      { 'jobs/greta/known.ts': '' },
    ],
    good: [{ 'jobs/greta/known.ts': `function run() {\n${lines(78)}}` }],
  },
  'file names say what the file holds': {
    rule: fileNames,
    bad: [{ 'jobs/greta/utils.ts': '' }],
    good: [{ 'jobs/greta/fills.ts': '' }],
  },
  'no path of one machine is named': {
    rule: noMachinePaths,
    bad: [{ 'docs/x.md': `see ${machinePath}` }, { 'a.ts': `const x = '../${'shared'}/bars.csv'` }],
    good: [{ '.ci/run': machinePath, 'docs/x.md': `https://example.org${machinePath} and db/work/data` }],
  },
  'the lock file names no registry': {
    rule: lockFile,
    bad: [{ 'package-lock.json': `"resolved": "https://registry.example/a.tgz"` }],
    good: [{ 'package-lock.json': `"integrity": "sha512-abc"` }],
  },
  "README's glossary is the house's": {
    rule: glossary,
    bad: [
      { ...house, 'README.md': readme.replace(row('Greta'), '') },
      { ...house, 'README.md': readme.replace('One sentence that says what it is.', 'Short.') },
      { ...house, 'README.md': `${readme}\n${row('Skynet')}` },
      { ...house, 'README.md': readme, 'Greta.ts': `/** Fills orders. */` },
      { ...house, 'README.md': readme.replace('`Veda.ts`', 'not there yet'), 'jobs/veda/orders.ts': '' },
      { ...house, 'README.md': readme, 'Greta.ts': `import './Greta.ts'` },
    ],
    good: [
      { ...house, 'README.md': readme },
      { ...house, 'README.md': readme.replace('`Veda.ts`', 'not there yet') },
    ],
  },
}

const asText = (rule: Rule, files: readonly SourceText[]): string[] =>
  rule(files).map(({ path, line, message }) => `${path}:${line} ${message}`)

describe.each(Object.entries(PROOFS))('%s', (_title, { rule, inRepository, bad, good }) => {
  test.each(bad.map((example) => ({ example })))('reports the bad example $example', ({ example }) => {
    expect(asText(rule, filesOf(example))).not.toEqual([])
  })
  test.each(good.map((example) => ({ example })))('accepts the good example $example', ({ example }) => {
    expect(asText(rule, filesOf(example))).toEqual([])
  })
  test('holds in this repository', () => {
    expect(asText(inRepository ?? rule, repository)).toEqual([])
  })
})

test('the repository that the rules read is this one', () => {
  const paths = new Set(repository.map(({ path }) => path))
  expect(
    ['package.json', 'README.md', '.ci/run', 'strategies/api.ts', 'web/src/app.html'].filter(
      (path) => !paths.has(path),
    ),
  ).toEqual([])
})
