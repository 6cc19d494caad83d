import { createRecorder } from '../db/walle/record.ts'
import type { Json } from '../strategies/api.ts'
import { wallClock } from './glados/clock.ts'
import { createHaltCommands, type HaltCommands } from './glados/halt_commands.ts'
import { forgetLosses, type RiskWatch } from './greta/risk_watch.ts'
import { clearHaltFile } from './halt_file.ts'
import type { System } from './system.ts'

/** The kill switch of this installation. */
export function openHaltCommands({ db, config }: Pick<System, 'db' | 'config'>): HaltCommands {
  return createHaltCommands({
    recorder: createRecorder(db),
    reader: db.reader,
    now: wallClock.now,
    newId: wallClock.newId,
    forgetLosses: (watch) => forgetLosses(watch as unknown as RiskWatch) as unknown as Json,
    clearHaltFile: () => clearHaltFile(config.dataDir),
  })
}
