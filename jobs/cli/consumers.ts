/** `weaver consumers`: who reads the log, how far each is, and the way out for one that is stuck. */
import { hostname, userInfo } from 'node:os'
import {
  type ConsumerState,
  listConsumers,
  NotPossible,
  removeConsumer,
  rewindToHead,
  skipEvent,
} from '../../db/events/consumer_admin.ts'
import type { System } from '../system.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface ConsumersOptions {
  json: boolean
}

/** 1 when one of them does not do its work. */
export async function consumersCommand(context: CliContext, options: ConsumersOptions): Promise<number> {
  return withSystem(context, 'consumers', async ({ db }) => {
    const consumers = await listConsumers(db.reader)
    if (options.json) context.print(JSON.stringify({ items: consumers }))
    else if (consumers.length === 0) context.print('No consumer has read the log yet.')
    else for (const consumer of consumers) context.print(lines(consumer))
    return consumers.some(({ state }) => state === 'failing' || state === 'ahead') ? 1 : 0
  })
}

function lines(consumer: ConsumerState): string {
  const { id, state, last_offset, head, lag, lag_limit, holder } = consumer
  const first = [
    id.padEnd(24),
    state.padEnd(8),
    `${last_offset} of ${head}`,
    `${lag} behind${lag_limit === null ? '' : ` (throttles beyond ${lag_limit})`}`,
    holder ?? '',
  ].join('  ')
  if (consumer.failing_since === null) return first
  const { failing_since, failing_seq, failures, last_error, next_try_at } = consumer
  const cure =
    failing_seq === null ? '' : `\n  to leave it out: weaver consumers skip ${id} ${failing_seq} --reason TEXT`
  return `${first}\n  failing since ${failing_since}, ${failures} times, tried again at ${next_try_at}: ${last_error}${cure}`
}

export async function skipCommand(
  context: CliContext,
  consumerId: string,
  seqText: string,
  { reason }: { reason: string },
): Promise<number> {
  if (!/^\d{1,15}$/.test(seqText)) throw new CliError(`${seqText} is no seq: it is a whole number`, 2)
  const seq = Number(seqText)
  const skippedBy = `${userInfo().username} on ${hostname()}`
  return change(context, async ({ db }) => {
    await skipEvent(db, { consumerId, seq, reason, skippedBy })
    return `consumer ${consumerId} leaves out seq ${seq}; recorded in weaver.consumer_skips as by ${skippedBy}`
  })
}

export async function rewindCommand(context: CliContext, consumerId: string): Promise<number> {
  return change(context, async ({ db }) => {
    const head = await rewindToHead(db, consumerId)
    return `consumer ${consumerId} goes on after seq ${head}, the end of the log`
  })
}

export async function removeCommand(context: CliContext, consumerId: string): Promise<number> {
  return change(context, async ({ db }) => {
    await removeConsumer(db, consumerId)
    return `consumer ${consumerId} is forgotten; if a worker runs it again, it begins with the oldest event`
  })
}

async function change(context: CliContext, work: (system: System) => Promise<string>): Promise<number> {
  return withSystem(context, 'consumers', async (system) => {
    try {
      context.print(await work(system))
      return 0
    } catch (error) {
      if (error instanceof NotPossible) throw new CliError(error.message)
      throw error
    }
  })
}
