/** `weaver halt` and `weaver resume`: the kill switch, also when Postgres is away. */
import { setTimeout as delay } from 'node:timers/promises'
import { livePools } from '../../db/events/leases.ts'
import { openOrdersAtVenues } from '../../db/walle/queries/halts.ts'
import { wallClock } from '../glados/clock.ts'
import { clearHaltFile, haltFilePath, writeHaltFile } from '../glados/halts/file.ts'
import { openHaltCommands } from '../glados/halts/halt.ts'
import type { Venues } from '../live/live.ts'
import { openSystem, type System } from '../system.ts'
import { openVenues, openVenuesAlone } from '../veda/venues/world.ts'
import type { CliContext } from './context.ts'
import { type DrillOptions, drillCommand } from './halt_drill.ts'

export interface HaltOptions extends DrillOptions {
  reason?: string
  drill: boolean
}

const BY = 'weaver halt'
/** Of a database that does not answer: whoever presses this does not want to wait. */
const DATABASE_MS = 10_000
/** Of workers that are to cancel: then the venues are asked from here. */
const CONFIRM_MS = 10_000
const LOOK_MS = 100

/** First the file, which whatever runs here honours; the row takes its place, or without a database it stays. */
export async function haltCommand(context: CliContext, options: HaltOptions): Promise<number> {
  if (options.drill) return drillCommand(context, options)
  const { dataDir } = context.config
  const reason = options.reason ?? null
  const at = new Date(wallClock.now()).toISOString()
  const file = await writeHaltFile(dataDir, { reason, by: BY, at }).then(
    () => true,
    (error: unknown) => {
      // A full disk does not keep anybody from halting.
      context.note(`${haltFilePath(dataDir)} cannot be written: ${messageOf(error)}`)
      return false
    },
  )
  const inDatabase = haltInDatabase(context, reason)
  inDatabase.catch(() => {})
  // What is over must not keep the command from ending.
  const timeOut = delay(DATABASE_MS, undefined, { ref: false }).then(() => {
    throw new Error(`it did not answer within ${DATABASE_MS / 1000} s`)
  })
  timeOut.catch(() => {})
  let system: System | null = null
  try {
    system = await Promise.race([inDatabase, timeOut])
    await clearHaltFile(dataDir)
    return await seeThemCancelled(context, system)
  } catch (error) {
    context.note(`The database cannot be told: ${messageOf(error)}`)
  } finally {
    await system?.close()
  }
  context.print(
    file
      ? `Halted by ${haltFilePath(dataDir)}: Weaver sends no order until weaver resume.`
      : 'NOT halted: neither the database nor the halt file could be written. Stop Weaver itself. Open orders are cancelled:',
  )
  const cancelled = await cancelDirectly(context, await openVenuesAlone(context.config, context.log, wallClock))
  return file && cancelled ? 0 : 1
}

/** Gives what it is written in, still open. */
async function haltInDatabase(context: CliContext, reason: string | null): Promise<System> {
  const system = await openSystem(context.config, context.log, 'weaver halt')
  try {
    const request = { rule: 'kill_switch', reason, by: BY }
    const { halt, already } = await openHaltCommands(system).halt(request, { corrId: wallClock.newId() })
    context.print(
      already
        ? `It is halted already, since ${halt.halted_at} by ${halt.halted_by}.`
        : 'Halted: no order leaves but cancels. weaver resume ends the halt.',
    )
    return system
  } catch (error) {
    await system.close()
    throw error
  }
}

/** The workers cancel. Where none is at work, or they do not get there, it is done from here. */
async function seeThemCancelled(context: CliContext, system: System): Promise<number> {
  const { db } = system
  const until = wallClock.now() + CONFIRM_MS
  let open = await openOrdersAtVenues(db.reader)
  const workers = await livePools(db)
  if (open > 0 && workers > 0) context.print(`${open} open orders are being cancelled.`)
  while (open > 0 && workers > 0 && wallClock.now() < until) {
    await wallClock.sleep(LOOK_MS)
    open = await openOrdersAtVenues(db.reader)
  }
  if (workers > 0 && open === 0) {
    context.print('No order of Weaver is open at any venue.')
    return 0
  }
  context.print(workers === 0 ? 'No worker is at work.' : `${open} orders are not confirmed as cancelled yet.`)
  return (await cancelDirectly(context, await openVenues(system, wallClock))) ? 0 : 1
}

/** Every account that has credentials is asked to cancel whatever is open in it. */
async function cancelDirectly(context: CliContext, venues: Venues): Promise<boolean> {
  let failed = 0
  for (const { exchange, mode } of venues.configured()) {
    try {
      const venue = await venues.get(exchange, mode)
      context.print(`${exchange} ${mode}: asked to cancel ${await venue.cancelAll()} open orders`)
    } catch (error) {
      failed += 1
      context.note(`${exchange} ${mode}: CANCELS COULD NOT BE SENT: ${messageOf(error)}`)
    }
  }
  if (failed > 0) context.note('Cancel them on the page of the venue itself, or press weaver halt again.')
  await venues.close()
  return failed === 0
}

export async function resumeCommand(context: CliContext, runId: string | undefined): Promise<number> {
  const system = await openSystem(context.config, context.log, 'weaver resume')
  try {
    const commands = openHaltCommands(system)
    const corr = { corrId: wallClock.newId() }
    const ended = runId === undefined ? await commands.resume(BY, corr) : await commands.resumeRun(runId, BY, corr)
    context.print(ended ? RESUMED[ended.run_id === null ? 'system' : 'run'] : 'Nothing was halted.')
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

const RESUMED = {
  system: 'Resumed: orders may leave once each venue was asked what became of what.',
  run: 'Resumed: its orders may leave.',
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
