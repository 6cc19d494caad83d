/** `weaver replay`: plays a paper or live run again from its log and says whether it did what it should have. */
import type { ParityDifference } from '../../db/walle/parity_rows.ts'
import { PARITY_CLASSES } from '../../db/walle/parity_rows.ts'
import type { Parity } from '../../db/walle/queries/parity.ts'
import { openControl } from '../control.ts'
import { DomainError } from '../glados/errors.ts'
import { watch } from './backtest.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface ReplayOptions {
  toleranceBps?: string
  json: boolean
}

/** Differences that a terminal shows; --json has more. */
const SHOWN = 20

/** 0: it did what it was to do. 1: it diverged, or could not be replayed. */
export async function replayCommand(context: CliContext, run: string, options: ReplayOptions): Promise<number> {
  const { toleranceBps } = options
  const tolerance_bps = toleranceBps === undefined ? undefined : Number(toleranceBps)
  if (tolerance_bps !== undefined && !Number.isFinite(tolerance_bps)) {
    throw new CliError('--tolerance-bps must be a number, such as 10', 2)
  }
  return withSystem(context, 'replay', async (system) => {
    const control = await openControl(system, { workers: 'unless running' })
    try {
      await control.commands.replayRun(run, { tolerance_bps })
      const parity = await watch('replay', control.failed, async (show) => {
        const now = await control.commands.getParity(run)
        show(now.progress ?? 0)
        return now.state === 'pending' ? null : now
      })
      context.print(options.json ? JSON.stringify(parity) : parityText(parity))
      return parity.verdict === 'identical' || parity.verdict === 'amended' ? 0 : 1
    } catch (error) {
      if (error instanceof DomainError) throw new CliError(error.message)
      throw error
    } finally {
      await control.close()
    }
  })
}

export function parityText(parity: Parity): string {
  const { verdict, error, counts, differences, differences_total, slippage, fees, notes } = parity
  if (verdict === null) return `run ${parity.run_id} could not be replayed: ${error}`
  const shown = (differences ?? []).slice(0, SHOWN)
  const more = (differences_total ?? 0) - shown.length
  const classes = PARITY_CLASSES.map((name) => `${name} ${counts?.[name]}`).join(', ')
  const bps = (value: number | null | undefined) => (value == null ? 'unknown' : `${value.toFixed(2)} bps`)
  return [
    `run ${parity.run_id}: ${verdict} through ${parity.through ?? 'no tick'}`,
    `${parity.ticks} ticks, ${parity.orders} orders, ${parity.fills} fills; ${parity.unjudged} orders not to be judged yet`,
    `differences: ${differences_total} (${classes}), tolerance ${parity.tolerance_bps} bps`,
    ...shown.map(line),
    ...(more > 0 ? [`... and ${more} more: --json has the first ${differences?.length}`] : []),
    `slippage against the fill model: mean ${bps(slippage?.mean_bps)}, most ${bps(slippage?.max_bps)}, ${slippage?.cost} in all, over ${slippage?.orders} orders`,
    `fees: ${fees?.booked} booked, ${fees?.model} by the fill model`,
    ...(notes ?? []),
  ].join('\n')
}

function line({ class: name, what, bar_index, ts, symbol, recorded, expected, cause }: ParityDifference): string {
  const place = [bar_index === null ? null : `tick ${bar_index}`, ts, symbol].filter((part) => part !== null).join(' ')
  return `  ${`${name}/${what}`.padEnd(18)} ${place}\n    ${cause}\n    recorded ${recorded ?? 'nothing'}; expected ${expected ?? 'nothing'}`
}
