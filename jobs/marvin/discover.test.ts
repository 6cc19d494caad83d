import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { discover, hashOf, isEntry, sourceOf } from './discover.ts'
import { scanStrategies } from './scan.ts'
import { materialise } from './sources.ts'

const API = "import { z } from 'zod'\nexport { z }\n"
const entry = (imports: string, rest = ''): string => `${imports}\nexport default 1\n${rest}`

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weaver-'))
  folders.push(folder)
  return folder
}

test.each([
  ['a.ts', true],
  ['a/index.ts', true],
  ['local/a.ts', true],
  ['local/a/index.ts', true],
  ['a/other.ts', false],
  ['a/b/index.ts', false],
  ['api.ts', false],
  ['indicators.ts', false],
  ['testing.ts', false],
  ['a.test.ts', false],
])('%s is a strategy: %s', (path, expected) => {
  expect(isEntry(path)).toBe(expected)
})

test('a source is the file with all that it imports, and its hash changes with any of them', () => {
  const files = new Map([
    ['api.ts', API],
    ['a/index.ts', entry("import { z } from '../api.ts'\nimport { help } from './help.ts'")],
    ['a/help.ts', "import type { T } from './types.ts'\nexport const help = <T,>(x: T): T => x as T\n"],
    ['a/types.ts', 'export type T = 1\n'],
    ['b.ts', entry("import { z } from 'zod'")],
  ])
  const { sources, errors } = discover(files)
  expect(errors).toEqual([])
  expect(sources.map(({ entry: path, files: closure }) => [path, Object.keys(closure)])).toEqual([
    ['a/index.ts', ['a/help.ts', 'a/index.ts', 'a/types.ts', 'api.ts']],
    ['b.ts', ['b.ts']],
  ])
  const before = sourceOf('a/index.ts', files).hash
  expect(before).toMatch(/^[0-9a-f]{64}$/)
  files.set('a/help.ts', 'export const help = 2\n')
  expect(sourceOf('a/index.ts', files).hash).not.toBe(before)
})

test('what a strategy may not import is named, and the others still work', () => {
  const files = new Map([
    ['api.ts', API],
    ['cycle.ts', entry("import './x/one.ts'")],
    ['x/one.ts', "import './two.ts'"],
    ['x/two.ts', "export * from './one.ts'"],
    ['database.ts', entry("import { open } from '../../db/client.ts'")],
    ['dynamic.ts', entry('', "const fs = await import('node:fs')")],
    ['files.ts', entry("import { readFileSync } from 'node:fs'")],
    ['good.ts', entry("import { z } from './api.ts' // import 'node:fs'")],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the source of a strategy
    ['hidden.ts', entry('', 'const x = `${import(`node:fs`)}`')],
    ['meta.ts', entry('', 'const here = import.meta.url')],
    ['missing.ts', entry("import { a } from './gone.ts'")],
    ['package.ts', entry("import pg from 'pg'")],
    ['require.ts', entry('', "const fs = require('fs')")],
    ['unclosed.ts', entry('', 'const text = `never ends')],
    ['url.ts', entry("import x from 'https://example.org/x.ts'")],
  ])
  const { sources, errors } = discover(files)
  const only = "only 'zod' and .ts files below strategies/ may be imported"
  expect(sources.map((source) => source.entry)).toEqual(['good.ts'])
  expect(errors.filter(({ path }) => path !== 'unclosed.ts')).toEqual([
    { path: 'cycle.ts', message: 'import cycle: x/one.ts → x/two.ts → x/one.ts' },
    { path: 'database.ts', message: `database.ts imports '../../db/client.ts': ${only}` },
    { path: 'dynamic.ts', message: 'dynamic.ts uses import(): a strategy imports at its top only' },
    { path: 'files.ts', message: `files.ts imports 'node:fs': ${only}` },
    { path: 'hidden.ts', message: 'hidden.ts uses import(): a strategy imports at its top only' },
    { path: 'meta.ts', message: 'meta.ts uses import.meta: a strategy does not know where it is' },
    { path: 'missing.ts', message: 'missing.ts imports gone.ts, which does not exist' },
    { path: 'package.ts', message: `package.ts imports 'pg': ${only}` },
    { path: 'require.ts', message: 'require.ts uses require(): a strategy imports at its top only' },
    { path: 'url.ts', message: `url.ts imports 'https://example.org/x.ts': ${only}` },
  ])
  expect(errors.find(({ path }) => path === 'unclosed.ts')?.message).toContain('unclosed.ts does not parse')
})

test('a folder is read without its tests, hidden files and packages', async () => {
  const folder = await temporaryFolder()
  for (const path of [
    'a.ts',
    'local/b/index.ts',
    'a.test.ts',
    '.hidden/c.ts',
    'local/node_modules/d/index.ts',
    'e.md',
  ]) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), path)
  }
  const { files, errors } = await scanStrategies(folder)
  expect([...files].sort()).toEqual([
    ['a.ts', 'a.ts'],
    ['local/b/index.ts', 'local/b/index.ts'],
  ])
  expect(errors).toEqual([])
})

test('a stored source is put on disk once, runs there, and is mended when it was changed', async () => {
  const dataDir = await temporaryFolder()
  const files = {
    'a/index.ts': "import { answer } from '../api.ts'\nexport default answer as number\n",
    'api.ts': "import { z } from 'zod'\nexport const answer: number = z.number().parse(42)\n",
  }
  const source = { entry: 'a/index.ts', files, hash: hashOf(files) }
  const paths = await Promise.all([materialise(source, dataDir), materialise(source, dataDir)])
  const path = join(dataDir, 'sources', source.hash, 'a', 'index.ts')
  expect(paths).toEqual([path, path])
  expect((await import(path)).default).toBe(42)
  await writeFile(path, 'changed')
  await materialise(source, dataDir)
  expect(await readFile(path, 'utf8')).toBe(files['a/index.ts'])
})

test('a stored source that is damaged or leaves its folder is refused', async () => {
  const dataDir = await temporaryFolder()
  const files = { '../a.ts': 'export default 1\n' }
  await expect(materialise({ entry: '../a.ts', files, hash: hashOf(files) }, dataDir)).rejects.toThrow(
    'no path below strategies/',
  )
  await expect(materialise({ entry: 'a.ts', files: { 'a.ts': '' }, hash: 'x' }, dataDir)).rejects.toThrow('damaged')
})
