/** `weaver halt --drill`: a checklist with times, and a plain word on what is left when a step fails. */
import { livePools } from '../../db/events/leases.ts'
import { activeHalt } from '../../db/walle/queries/halts.ts'
import { runningLiveRuns } from '../../db/walle/queries/live_runs.ts'
import { type Control, openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { drillHalt } from '../glados/halts/drill.ts'
import type { System } from '../system.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface DrillOptions {
  exchange: string
  symbol?: string
  anyway: boolean
}

const SYMBOLS: Readonly<Record<string, string>> = { sim: 'SIM/USD' }
const OTHER_SYMBOL = 'BTC/USD'

export function drillCommand(context: CliContext, options: DrillOptions): Promise<number> {
  const { exchange, symbol = SYMBOLS[exchange] ?? OTHER_SYMBOL, anyway } = options
  return withSystem(context, 'halt --drill', async (system) => {
    const alone = (await livePools(system.db)) === 0
    // Workers that keep accounts, where none are at work.
    const control = await openControl(system, { workers: alone })
    try {
      await mustBeFree(system, control, anyway)
      context.print(`A drill of the kill switch at ${exchange} paper. Should it end early, Weaver stays halted:`)
      context.print('  weaver resume ends the halt, weaver stop the run "halt drill".')
      await drillHalt(worldOf(context, system, control), exchange, symbol)
      context.print('The kill switch works. Nothing is halted.')
      return 0
    } catch (error) {
      if (error instanceof CliError) throw error
      context.print(`✗ ${error instanceof Error ? error.message : String(error)}`)
      const halt = await activeHalt(system.db.reader, null)
      context.print(
        halt === null ? 'THE DRILL FAILED. Nothing is halted.' : 'THE DRILL FAILED. Weaver is halted: weaver resume.',
      )
      return 1
    } finally {
      await control.close()
    }
  })
}

function worldOf(context: CliContext, system: System, control: Control) {
  return {
    ...{ system, control, clock: wallClock },
    another: <T>(work: (other: System) => Promise<T>) => withSystem(context, 'halt --drill, another look', work),
    tell: (step: string, ms: number) => context.print(`✓ ${step} (${Math.round(ms)} ms)`),
  }
}

/** A drill halts everything there is: what it would disturb is named, and nothing is done. */
async function mustBeFree(system: System, { venues }: Control, anyway: boolean): Promise<void> {
  const halt = await activeHalt(system.db.reader, null)
  if (halt !== null) throw new CliError(`it is halted already, since ${halt.halted_at}: weaver resume first`)
  if (anyway) return
  const live = (await runningLiveRuns(system.db.reader)).filter(({ mode }) => mode === 'live')
  if (live.length > 0) {
    throw new CliError(`${live.length} live run(s) are running, and would be halted: stop them, or give --anyway`)
  }
  for (const { exchange, mode } of venues.configured()) {
    const open = (await (await venues.get(exchange, mode)).orders({ open: true })).length
    if (open > 0) {
      throw new CliError(
        `${open} order(s) lie open at ${exchange} ${mode}, and would be cancelled: cancel them, or give --anyway`,
      )
    }
  }
}
