/**
 * Makes a clone runnable: packages as in the lock file, and the web page. Runs before start, test and weaver, on Node 20
 * or newer and on Deno, with nothing installed; does nothing when there is nothing to do. Speaks on stderr only, because
 * stdout belongs to the command that follows.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const web = join(root, 'web')
const installStamp = join(modules, '.weaver-installed')
const pageStamp = join(modules, '.weaver-page')
const CLEAN_INSTALL = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
/** For a machine that has Deno and no npm. */
const NPM = '11.19.1'
const onDeno = 'Deno' in globalThis
const windows = process.platform === 'win32'
/** The Node that the npm package `node` brings: newer than the one that may run this file. */
const ownNode = join(modules, 'node', 'bin', windows ? 'node.exe' : 'node')

function read(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

function hashOf(...texts) {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text).update('\0')
  return hash.digest('hex')
}

/** Runs it quietly; its output is shown when it fails. */
function run(what, command, args, options = {}) {
  process.stderr.write(`${what}…\n`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], shell: windows, ...options })
    const output = []
    child.stdout.on('data', (chunk) => output.push(chunk))
    child.stderr.on('data', (chunk) => output.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${Buffer.concat(output).toString().trim()}\n${what} failed: ${command} ${args.join(' ')}`))
    })
  })
}

function found(program, path) {
  return path.split(delimiter).some((folder) => existsSync(join(folder, windows ? `${program}.cmd` : program)))
}

/** Whether what npm last put into node_modules is what the lock file says, whoever ran it. */
function matchesLock(lockText) {
  const installedText = read(join(modules, '.package-lock.json'))
  if (installedText === '' || !existsSync(ownNode)) return false
  const installed = JSON.parse(installedText).packages
  return Object.entries(JSON.parse(lockText).packages).every(([path, { version, optional }]) => {
    if (path === '') return true
    const there = installed[path]
    return there === undefined ? optional === true : there.version === version
  })
}

async function install() {
  const lockText = read(join(root, 'package-lock.json'))
  const wanted = hashOf(lockText)
  if (read(installStamp) === wanted) return
  if (!matchesLock(lockText)) {
    // npm replaces node_modules, so neither it nor its children may run on the Node inside.
    const path = (process.env.PATH ?? '')
      .split(delimiter)
      .filter((folder) => !folder.includes(`node_modules${windows ? '\\' : '/'}`))
      .join(delimiter)
    const env = { ...process.env, PATH: path }
    if (found('npm', path)) {
      await run('Installing', 'npm', CLEAN_INSTALL, { env })
    } else if (onDeno) {
      // npm itself, run by Deno: the same packages from the same lock file. Their scripts would want a Node.
      const npm = ['run', '-A', '--no-config', '--no-lock', '--node-modules-dir=none', `npm:npm@${NPM}`]
      await run('Installing', globalThis.Deno.execPath(), [...npm, ...CLEAN_INSTALL, '--ignore-scripts'])
    } else {
      throw new Error('npm is not on the PATH: install Node.js 20 or newer with npm, or use `deno task`')
    }
  }
  mkdirSync(modules, { recursive: true })
  writeFileSync(installStamp, wanted)
}

function filesBelow(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? filesBelow(path) : [path]
    })
}

async function buildPage() {
  const configuration = join(web, 'vite.config.ts')
  if (!existsSync(configuration)) return
  const sources = [configuration, ...filesBelow(join(web, 'src')), ...filesBelow(join(web, 'static'))]
  const wanted = hashOf(read(installStamp), ...sources.flatMap((file) => [file.slice(root.length), readFileSync(file)]))
  if (read(pageStamp) === wanted && existsSync(join(web, 'build', '200.html'))) return
  const vite = join(modules, 'vite', 'bin', 'vite.js')
  const [command, args] = existsSync(ownNode)
    ? [ownNode, [vite, 'build']]
    : [process.execPath, onDeno ? ['run', '-A', vite, 'build'] : [vite, 'build']]
  // Not `test`, as which a test runner starts us: vite would build another page.
  await run('Building the web page', command, args, {
    cwd: web,
    shell: false,
    env: { ...process.env, NODE_ENV: 'production' },
  })
  writeFileSync(pageStamp, wanted)
}

try {
  await install()
  await buildPage()
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
