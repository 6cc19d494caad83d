/** A test file as a command of its own, with what it is to do in its environment. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))

/** Gives its exit code. */
export function runTestFile(file: string, env: Record<string, string>): Promise<number> {
  const child = spawn(process.execPath, [VITEST, 'run', file, '--disable-console-intercept'], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
