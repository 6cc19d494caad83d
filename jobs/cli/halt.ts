/** `weaver halt` and `weaver resume`: the kill switch, also when Postgres is away. */
import { wallClock } from '../glados/clock.ts'
import { openHaltCommands } from '../halt.ts'
import { clearHaltFile, haltFilePath, readHaltFile, writeHaltFile } from '../halt_file.ts'
import { openSystem } from '../system.ts'
import { openVenuesAlone } from '../venue_world.ts'
import type { CliContext } from './context.ts'

export interface HaltOptions {
  reason?: string
}

const BY = 'weaver halt'
/** Of a database that does not answer: whoever presses this does not want to wait. */
const DATABASE_MS = 10_000

/** First the file, which whatever runs here honours; the row takes its place, or without a database it stays. */
export async function haltCommand(context: CliContext, { reason }: HaltOptions): Promise<number> {
  const { dataDir } = context.config
  const at = new Date(wallClock.now()).toISOString()
  await writeHaltFile(dataDir, { reason: reason ?? null, by: BY, at })
  const inDatabase = haltInDatabase(context, reason ?? null)
  inDatabase.catch(() => {})
  const timeOut = wallClock.sleep(DATABASE_MS).then(() => {
    throw new Error(`the database did not answer within ${DATABASE_MS / 1000} s`)
  })
  try {
    await Promise.race([inDatabase, timeOut])
    await clearHaltFile(dataDir)
    return 0
  } catch (error) {
    context.note(`The database cannot be told: ${messageOf(error)}`)
  }
  context.print(`Halted by ${haltFilePath(dataDir)}: Weaver sends no order until weaver resume.`)
  return cancelDirectly(context)
}

async function haltInDatabase(context: CliContext, reason: string | null): Promise<void> {
  const system = await openSystem(context.config, context.log, 'weaver halt')
  try {
    const request = { rule: 'kill_switch', reason, by: BY }
    const { halt, already, runs } = await openHaltCommands(system).halt(request, { corrId: wallClock.newId() })
    context.print(
      already
        ? `It is halted already, since ${halt.halted_at} by ${halt.halted_by}.`
        : 'Halted: no order leaves but cancels.',
    )
    context.print(`The open orders of ${runs} runs are being cancelled. weaver resume ends the halt.`)
  } finally {
    await system.close()
  }
}

/** Without Postgres: every account that has credentials is asked to cancel whatever is open in it. */
async function cancelDirectly(context: CliContext): Promise<number> {
  const venues = await openVenuesAlone(context.config, context.log, wallClock)
  let failed = 0
  for (const { exchange, mode } of venues.configured()) {
    try {
      const venue = await venues.get(exchange, mode)
      context.print(`${exchange} ${mode}: asked to cancel ${await venue.cancelAll()} open orders`)
    } catch (error) {
      failed += 1
      context.note(`${exchange} ${mode}: ${messageOf(error)}`)
    }
  }
  await venues.close()
  return failed === 0 ? 0 : 1
}

export async function resumeCommand(context: CliContext, runId: string | undefined): Promise<number> {
  const system = await openSystem(context.config, context.log, 'weaver resume')
  try {
    const commands = openHaltCommands(system)
    const corr = { corrId: wallClock.newId() }
    const file = runId === undefined ? await readHaltFile(context.config.dataDir) : null
    const ended = runId === undefined ? await commands.resume(BY, corr) : await commands.resumeRun(runId, BY, corr)
    context.print(ended || file ? 'Resumed: orders may leave.' : 'Nothing was halted.')
    for (const { run_id, rule, halted_at } of await commands.halts()) {
      context.print(
        run_id === null ? `The system is halted: ${rule}, ${halted_at}` : `Run ${run_id} is halted: ${rule}`,
      )
    }
    return 0
  } finally {
    await system.close()
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
