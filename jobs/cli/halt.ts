/** `weaver halt` and `weaver resume`: the kill switch, also when Postgres is away. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hasCluster } from '../../db/embedded.ts'
import { ConfigError } from '../config/config.ts'
import { wallClock } from '../glados/clock.ts'
import { openHaltCommands } from '../glados/halts/halt.ts'
import { pressHalt } from '../glados/halts/press.ts'
import { openExisting, type System } from '../system.ts'
import type { CliContext } from './context.ts'
import { CliError } from './context.ts'
import { type DrillOptions, drillCommand } from './halt_drill.ts'

export interface HaltOptions extends DrillOptions {
  reason?: string
  drill: boolean
}

/** For a connection that does not close either. */
const CLOSE_MS = 2_000

const patience = (ms: number) => delay(ms, undefined, { ref: false })

/** `problems`: of the configuration, which this goes by as far as it can. */
export async function haltCommand(
  context: CliContext,
  options: HaltOptions,
  problems: readonly string[] = [],
): Promise<number> {
  if (options.drill) {
    if (problems.length > 0) throw new ConfigError(problems)
    return drillCommand(context, options)
  }
  for (const problem of problems) context.note(`weaver halt goes on without it: ${problem}`)
  await mustBeHere(context)
  const { config, log } = context
  let system: System | null = null
  const { by, asked } = await pressHalt(
    {
      ...{ config, log, patience },
      open: async () => {
        system = await openExisting(config, log, 'weaver halt')
        return system
      },
      tell: (text, isTrouble) => (isTrouble ? context.note(text) : context.print(text)),
    },
    { rule: 'kill_switch', reason: options.reason ?? null, by: 'weaver halt' },
    { corrId: wallClock.newId() },
  )
  await closed(system)
  return by !== null && asked.every(({ problem }) => problem === null) ? 0 : 1
}

/** In a directory that is not Weaver's a halt would be one of nothing. */
async function mustBeHere({ config: { databaseUrl, dataDir } }: CliContext): Promise<void> {
  if (databaseUrl !== null || existsSync(join(dataDir, 'start.lock')) || (await hasCluster(dataDir))) return
  throw new CliError(
    `there is no Weaver here: ${dataDir} is not its data directory, and DATABASE_URL is not set. NOTHING was halted: ` +
      "go to Weaver's directory, or set WEAVER_DATA_DIR or DATABASE_URL",
  )
}

function closed(system: System | null): Promise<unknown> {
  return Promise.race([system?.close().catch(() => {}), patience(CLOSE_MS)])
}

export async function resumeCommand(context: CliContext, runId: string | undefined): Promise<number> {
  await mustBeHere(context)
  const system = await openExisting(context.config, context.log, 'weaver resume')
  try {
    const by = 'weaver resume'
    const commands = openHaltCommands(system)
    const corr = { corrId: wallClock.newId() }
    const ended = runId === undefined ? await commands.resume(by, corr) : await commands.resumeRun(runId, by, corr)
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
