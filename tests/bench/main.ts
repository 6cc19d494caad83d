/** `npm run bench -- NAME`: measures when the file of that name is imported, and prints a table. */
import { readdirSync } from 'node:fs'

const HELPERS = ['main.ts', 'table.ts']
const names = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.ts') && !file.includes('_server') && !HELPERS.includes(file))
  .map((file) => file.slice(0, -3))
const [name = ''] = process.argv.slice(2)
if (names.includes(name)) await import(`./${name}.ts`)
else {
  process.stderr.write(`bench: give one of ${names.join(', ')}\n`)
  process.exitCode = 2
}
