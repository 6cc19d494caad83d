import { createRecorder } from '../../../db/walle/record.ts'
import type { Json } from '../../../strategies/api.ts'
import { forgetLosses, type RiskWatch } from '../../greta/risk_watch.ts'
import type { System } from '../../system.ts'
import { type PreciseClock, wallClock } from '../clock.ts'
import { createHaltCommands, type HaltCommands } from '../halt_commands.ts'
import { clearHaltFile, readHaltFile } from './file.ts'

/** The kill switch of this installation. `time`: what paper and live runs go by. */
export function openHaltCommands(
  { db, config }: Pick<System, 'db' | 'config'>,
  { now, newId }: Pick<PreciseClock, 'now' | 'newId'> = wallClock,
): HaltCommands {
  return createHaltCommands({
    recorder: createRecorder(db),
    reader: db.reader,
    now,
    newId,
    forgetLosses: (watch) => forgetLosses(watch as unknown as RiskWatch) as unknown as Json,
    haltFile: { read: () => readHaltFile(config.dataDir), clear: () => clearHaltFile(config.dataDir) },
  })
}
