/**
 * A strategy that loops for ever does not notice that its parent is gone. A shell does: its input ends when the parent
 * does, however that came about, and it kills the hosts that are left.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import process from 'node:process'

export interface Reaper {
  add(pid: number): void
  remove(pid: number): void
  end(): void
}

const REAPER = `
trap '' INT TERM HUP
pids=' '
while read -r sign pid; do
  case $sign in
    +) pids="$pids$pid " ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
exit 0
`

export function startReaper(): Reaper {
  if (process.platform === 'win32') return { add() {}, remove() {}, end() {} }
  const shell: ChildProcess = spawn('/bin/sh', ['-c', REAPER], { stdio: ['pipe', 'ignore', 'ignore'], env: {} })
  // Without it hosts still end with their input; only one that hangs would outlive its parent.
  shell.on('error', () => {})
  shell.stdin?.on('error', () => {})
  shell.unref()
  const tell = (text: string): void => {
    shell.stdin?.write(text)
  }
  return { add: (pid) => tell(`+ ${pid}\n`), remove: (pid) => tell(`- ${pid}\n`), end: () => void shell.stdin?.end() }
}
