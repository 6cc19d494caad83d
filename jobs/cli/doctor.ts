/** `weaver doctor`: looks at everything that Weaver stands on, and says what to do about what is wrong. */

import { existsSync } from 'node:fs'
import { openOwnerPool } from '../../db/client.ts'
import { databaseBytes, largestTables, serverHealth } from '../../db/events/health.ts'
import { pendingMigrations } from '../../db/migrate.ts'
import { serverState } from '../../db/server_state.ts'
import { connectionsOf, tooFewConnections } from '../connections.ts'
import { openControl } from '../control.ts'
import { wallClock } from '../glados/clock.ts'
import { freeBytes, judgeDisk } from '../health/readiness.ts'
import { createChannels } from '../notify/channels.ts'
import { openPostgres, type System } from '../system.ts'
import { MOST_SKEW_MS } from '../veda/venues/clock_skew.ts'
import { VERSION } from '../version.ts'
import type { CliContext } from './context.ts'
import { withSystem } from './context.ts'
import { checkVenues } from './doctor_venues.ts'

export interface Finding {
  name: string
  /** What is well, or what is wrong and what to do. */
  text: string
  ok: boolean
}

export async function doctorCommand(context: CliContext): Promise<number> {
  const findings: Finding[] = [configuration(context), page(), ...outside(context)]
  findings.push(await disk(context))
  const database = await checkDatabase(context)
  findings.push(...database)
  if (database.every((finding) => finding.ok)) findings.push(...(await checkSystem(context)))
  for (const { ok, name, text } of findings) context.print(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(12)} ${text}`)
  return findings.every((finding) => finding.ok) ? 0 : 1
}

function configuration({ config }: CliContext): Finding {
  const where = config.databaseUrl ? 'the given DATABASE_URL' : `embedded Postgres in ${config.dataDir}`
  return { name: 'configuration', ok: true, text: `Weaver ${VERSION}, ${where}, ${config.host}:${config.port}` }
}

/** Where Weaver tells what happens. That it arrives, `weaver notify test` tries. */
function outside({ config }: CliContext): Finding[] {
  const channels = createChannels(config.notify, wallClock.now)
  const list = channels.map(({ name, target }) => `${name} (${target})`).join(', ')
  const notified =
    channels.length === 0
      ? 'nobody is told of fills, errors and halts: set WEAVER_WEBHOOK_URL, WEAVER_TELEGRAM_… or WEAVER_SMTP_URL'
      : `${config.notify.kinds.join(', ')} of ${config.notify.modes.join(' and ')} by ${list}; \`weaver notify test\` tries`
  const heartbeat =
    config.heartbeatUrl === null
      ? 'nobody notices when Weaver is gone: set WEAVER_HEARTBEAT_URL'
      : `${new URL(config.heartbeatUrl.reveal()).host} is called each minute`
  return [
    { name: 'messages', ok: true, text: notified },
    { name: 'heartbeat', ok: true, text: heartbeat },
  ]
}

function page(): Finding {
  const built = existsSync(new URL('../../web/build/200.html', import.meta.url))
  return { name: 'web page', ok: true, text: built ? 'built' : 'not built yet: `npm start` builds it' }
}

async function disk({ config }: CliContext): Promise<Finding> {
  const { state, message } = judgeDisk(await freeBytes(config.dataDir), config.dataDir)
  return { name: 'disk', ok: state === 'ok', text: message }
}

async function checkDatabase({ config, log }: CliContext): Promise<Finding[]> {
  let postgres: Awaited<ReturnType<typeof openPostgres>>
  try {
    postgres = await openPostgres(config, log)
  } catch (error) {
    return [{ name: 'database', ok: false, text: message(error) }]
  }
  const pool = openOwnerPool(postgres.url, { applicationName: 'weaver doctor', maxConnections: 2 })
  try {
    const started = wallClock.now()
    const server = await serverState(pool)
    const skew = Math.round(server.now - (started + wallClock.now()) / 2)
    const pending = await pendingMigrations(pool)
    return [
      { name: 'database', ok: true, text: server.version },
      {
        name: 'migrations',
        ok: true,
        text:
          pending.length === 0 ? 'up to date' : `${pending.length} to apply: the next start or \`weaver migrate\` does`,
      },
      Math.abs(skew) <= MOST_SKEW_MS
        ? { name: 'clock', ok: true, text: `${skew} ms from the database's` }
        : {
            name: 'clock',
            ok: false,
            text: `${skew} ms from the database's: set up time synchronisation on both machines`,
          },
    ]
  } catch (error) {
    return [{ name: 'database', ok: false, text: message(error) }]
  } finally {
    await pool.end()
    await postgres.release()
  }
}

async function checkSystem(context: CliContext): Promise<Finding[]> {
  return withSystem(context, 'doctor', async (system) => {
    const control = await openControl(system, { workers: false })
    try {
      const { items, errors } = await control.catalog.list()
      return [
        { name: 'strategies', ok: true, text: items.map((item) => item.id).join(', ') },
        ...errors.map((error) => ({ name: 'strategies', ok: false, text: `${error.path}: ${error.message}` })),
        await connections(system),
        await sizes(system),
        ...(await checkVenues(control.venues)),
      ]
    } finally {
      await control.close()
    }
  })
}

/** Whether the server takes as many as all of Weaver may open. */
async function connections({ config, db }: System): Promise<Finding> {
  const server = await serverHealth(db.reader)
  const problem = tooFewConnections(config, server)
  const { api, worker, command } = connectionsOf(config)
  const text = `the server takes ${server.mostConnections}; up to ${api} for the API, ${worker} for each worker, ${command} for a command`
  return { name: 'connections', ok: problem === null, text: problem ?? text }
}

const SIZES_SHOWN = 4

/** Where the disk goes. How long what stays: docs/operations.md. */
async function sizes({ db }: System): Promise<Finding> {
  const megabytes = (bytes: number) => `${(Number(bytes) / 1e6).toFixed(1)} MB`
  const largest = await largestTables(db.reader, SIZES_SHOWN)
  const list = largest.map(({ table, bytes }) => `${table} ${megabytes(bytes)}`).join(', ')
  return { name: 'size', ok: true, text: `${megabytes(await databaseBytes(db.reader))} in all: ${list}` }
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error))
