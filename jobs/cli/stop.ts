/** `weaver stop`: asks a run to stop, and waits until it has. */
import { livePools } from '../../db/events/leases.ts'
import { openPositions, openSentOrders } from '../../db/walle/queries/live_runs.ts'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import type { System } from '../system.ts'
import { watch } from './backtest.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface StopCommandOptions {
  closePositions: boolean
  keepOrders: boolean
}

/** Longer than a run waits for its last tick, its cancels and its closes. */
const LONGEST_MS = 180_000

export async function stopCommand(
  context: CliContext,
  id: string,
  { closePositions, keepOrders }: StopCommandOptions,
): Promise<number> {
  return withSystem(context, 'stop', async (system) => {
    const known = await getRun(system.db.reader, id)
    if (closePositions && known?.mode !== 'backtest' && (await livePools(system.db)) === 0) {
      const cure = 'start Weaver first, or stop the run without --close-positions'
      throw new CliError(
        `no worker runs, and orders that close positions leave only while one keeps the account: ${cure}`,
      )
    }
    const control = await openControl(system, { workers: 'unless running' })
    try {
      const asked = { cancel_orders: !keepOrders, close_positions: closePositions }
      const run = await control.commands.stopRun(id, asked, { corrId: wallClock.newId() })
      const ended = run.status === 'running' ? await untilEnded(context, system, run, control.failed) : run
      context.print(`run ${ended.id} is ${ended.status}`)
      for (const caution of ended.cautions) context.note(`  ${caution}`)
      return 0
    } finally {
      await control.close()
    }
  })
}

async function untilEnded(
  context: CliContext,
  { db }: System,
  { id }: RunRow,
  failed: Promise<Error>,
): Promise<RunRow> {
  const began = wallClock.now()
  let told = ''
  return watch('stop', failed, async () => {
    const run = await getRun(db.reader, id)
    if (run === null) throw new CliError(`run ${id} was deleted while it was stopping`)
    if (run.status !== 'running') return run
    const [orders, positions] = await Promise.all([openSentOrders(db.reader, id), openPositions(db.reader, id)])
    const standing = `${orders.length} orders open, ${positions.length} positions held`
    if (standing !== told) context.note(`run ${id} is stopping: ${standing}`)
    told = standing
    if (wallClock.now() - began < LONGEST_MS) return null
    throw new CliError(`run ${id} has not stopped yet; it goes on stopping: see \`weaver jobs --run ${id}\``)
  })
}
