/** The consumers of the log that this process takes part in, each active in one process at a time. */
import { hostname } from 'node:os'
import { type ConsumerDefinition, createConsumer } from '../db/events/consumer.ts'
import { dataInvalidation } from './backtest/data_invalidation.ts'
import { wallClock } from './glados/clock.ts'
import type { System } from './system.ts'

/** All there are. A name stays for ever: the place in the log goes by it. */
export const CONSUMERS: readonly ConsumerDefinition[] = [dataInvalidation]

export interface Consumers {
  /** Waits for the batches under way. */
  stop(): Promise<void>
}

export function startConsumers(system: System, definitions: readonly ConsumerDefinition[]): Consumers {
  const { db, log, config } = system
  const consumers = definitions.map((definition) =>
    createConsumer(definition, {
      db,
      log,
      sleep: wallClock.sleep,
      lagLimit: config.lagLimit,
      holder: `${hostname()} ${process.pid}`,
    }),
  )
  for (const consumer of consumers) consumer.start()
  return {
    async stop() {
      await Promise.all(consumers.map((consumer) => consumer.stop()))
    },
  }
}
