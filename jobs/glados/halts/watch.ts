/** Looks for a halt file, now and every second: a halt that was pressed while Postgres was away holds once it is back. */
import { type HaltCommands, saysNothingNew } from '../halt_commands.ts'
import { haltFilePath, readHaltFile } from './file.ts'

export interface HaltWatch {
  stop(): Promise<void>
}

const EVERY_MS = 1_000
/** A process cannot end while it sleeps. */
const STEP_MS = 250

export interface HaltWatchOptions {
  dataDir: string
  commands: Pick<HaltCommands, 'haltByFile' | 'halts'>
  newId: () => string
  sleep: (ms: number) => Promise<void>
  log: (fields: object, message: string) => void
}

/** Has looked once when it resolves: nothing is to be sent before. */
export async function startHaltWatch(options: HaltWatchOptions): Promise<HaltWatch> {
  const { dataDir, commands, newId, sleep, log } = options
  let stopped = false

  async function look(): Promise<void> {
    const file = await readHaltFile(dataDir)
    if (file === null) return
    const active = (await commands.halts()).find(({ run_id }) => run_id === null)
    if (saysNothingNew(file, active ?? null)) return
    const halted = await commands.haltByFile({ corrId: newId() })
    if (halted) log({ file: haltFilePath(dataDir), reason: halted.halt.reason }, 'halted by the halt file')
  }

  await look()
  const watching = (async () => {
    for (;;) {
      for (let left = EVERY_MS; left > 0 && !stopped; left -= STEP_MS) await sleep(STEP_MS)
      if (stopped) return
      await look().catch((error: unknown) => log({ err: error }, 'looking for a halt file'))
    }
  })()
  return {
    async stop() {
      stopped = true
      await watching
    },
  }
}
