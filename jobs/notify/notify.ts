/** What a worker tells the world outside: messages where a channel is set, and that it lives. Wires it for one process. */
import { hostname } from 'node:os'
import { createConsumer } from '../../db/events/consumer.ts'
import { record } from '../../db/walle/record.ts'
import type { Handlers } from '../attempt.ts'
import type { Config } from '../config/config.ts'
import { wallClock } from '../glados/clock.ts'
import type { System } from '../system.ts'
import { type Channel, createChannels } from './channels.ts'
import { createHeartbeat } from './heartbeat.ts'
import { forgetNotifications, notificationConsumer, sendNotification } from './notifications.ts'

export interface Notify {
  handlers: Pick<Handlers, 'glados.send_notification'>
  channels: readonly Channel[]
  start(): Promise<void>
  stop(): Promise<void>
}

export function openNotify({ db, log, config }: System): Notify {
  const channels = createChannels(config.notify, wallClock.now)
  const shared = { db, record, channels, now: wallClock.now }
  const { sleep } = wallClock
  const services = [
    ...(channels.length === 0
      ? []
      : [
          createConsumer(notificationConsumer({ ...shared, config: config.notify }), {
            db,
            log,
            sleep,
            lagLimit: null,
            holder: `${hostname()} ${process.pid}`,
          }),
        ]),
    ...(config.heartbeatUrl === null
      ? []
      : [
          createHeartbeat({
            db,
            record,
            url: config.heartbeatUrl,
            strategyTimeoutMs: config.strategyTimeoutMs,
            ...wallClock,
            log: (level, fields, message) => log[level](fields, message),
          }),
        ]),
  ]
  return {
    channels,
    handlers: {
      'glados.send_notification': (payload, job) =>
        sendNotification({ ...shared, pageUrl: pageUrlOf(config) }, payload, job),
    },
    async start() {
      if (channels.length === 0) await forgetNotifications(db)
      for (const service of services) service.start()
    },
    async stop() {
      await Promise.all(services.map((service) => service.stop()))
    },
  }
}

/** Where others find the page; null: it has no port of its own that is known here. */
export function pageUrlOf({ host, port }: Pick<Config, 'host' | 'port'>): string | null {
  if (port === 0) return null
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
