/** Breaks one guard of Weaver on purpose, in a copy: a function of a test's database, or a file of a copied source tree. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { connectOwner } from '../../db/client.ts'

export interface Change {
  from: string
  to: string
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const COPIED = ['db', 'jobs', 'strategies', 'tests/support', 'package.json']

/** Fails where the guard is written otherwise by now: the mutant must be brought up to date. */
function changed(what: string, text: string, { from, to }: Change): string {
  if (!text.includes(from))
    throw new Error(`${what} does not contain ${JSON.stringify(from)}: bring the mutant up to date`)
  return text.replaceAll(from, to)
}

/** The function as the last migration left it, with the change. */
export async function mutateFunction(url: string, name: string, changes: readonly Change[]): Promise<void> {
  const client = await connectOwner({ url, applicationName: 'weaver mutant' })
  try {
    const { rows } = await client.query<{ text: string }>(
      `select pg_get_functiondef(p.oid) as text from pg_proc p
       where p.proname = $1 and p.pronamespace = 'weaver'::regnamespace`,
      [name],
    )
    const [found] = rows
    if (found === undefined || rows.length > 1) throw new Error(`there are ${rows.length} functions weaver.${name}`)
    await client.query(changes.reduce((text, change) => changed(`weaver.${name}`, text, change), found.text))
  } finally {
    await client.end()
  }
}

export interface SourceTree {
  /** A module of the copy. */
  load<Module>(file: string): Promise<Module>
  remove(): Promise<void>
}

export async function mutateSource(file: string, changes: readonly Change[]): Promise<SourceTree> {
  const home = await mkdtemp(join(tmpdir(), 'weaver-mutant-'))
  const filter = (path: string) => !path.endsWith('.test.ts') && !path.includes('/strategies/local')
  for (const part of COPIED) await cp(join(ROOT, part), join(home, part), { recursive: true, filter })
  await symlink(join(ROOT, 'node_modules'), join(home, 'node_modules'))
  const path = join(home, file)
  const text = await readFile(path, 'utf8')
  await writeFile(
    path,
    changes.reduce((so_far, change) => changed(file, so_far, change), text),
  )
  return {
    load: (module) => import(pathToFileURL(join(home, module)).href),
    remove: () => rm(home, { recursive: true, force: true }),
  }
}
