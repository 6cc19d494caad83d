/**
 * The venues that there are, found by scanning `jobs/veda/adapters/<id>/index.ts`: one that does not load is reported by
 * name, and the rest works. A venue is opened when it is first asked for, with its adapter's part of the environment.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Secret } from '../../../db/secrets.ts'
import type { Known, Venues } from '../../live/live.ts'
import { type TradingMode, type Venue, type VenueDefinition, VenueError, type VenueWorld } from '../venue.ts'

export const ADAPTERS_DIR = fileURLToPath(new URL('../adapters', import.meta.url))

/** Settings of adapters: what the environment says under their names. */
export type VenueSettings = Readonly<Record<string, string | Secret>>

/** Folders with an adapter. */
export function adapterIds(dir: string = ADAPTERS_DIR): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(dir, entry.name, 'index.ts')))
    .map(({ name }) => name)
    .sort()
}

/** How an adapter's variables begin: `alpaca` reads ALPACA_…. */
export const variablePrefix = (id: string): string => `${id.toUpperCase().replaceAll('-', '_')}_`

export interface VenuesOptions {
  settings: VenueSettings
  world: VenueWorld
  dir?: string
}

interface Adapter {
  definition: VenueDefinition
  /** By mode, where it is configured. */
  settings: Map<TradingMode, unknown>
  problems: string[]
}

export async function createVenues({ settings, world, dir = ADAPTERS_DIR }: VenuesOptions): Promise<Venues> {
  const env = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
  )
  const adapters = new Map<string, Adapter>()
  const broken: Known[] = []
  for (const id of adapterIds(dir)) {
    try {
      adapters.set(id, configure(await load(dir, id), env))
    } catch (error) {
      const problem = `the adapter does not load: ${messageOf(error)}`
      world.log('error', { exchange: id }, problem)
      broken.push({ exchange: id, modes: [], configured: [], problems: [problem], accounts: [] })
    }
  }
  for (const [exchange, { problems }] of adapters) {
    for (const problem of problems) world.log('error', { exchange }, problem)
  }
  const open = new Map<string, Promise<Venue>>()

  function opened(exchange: string, mode: TradingMode): Promise<Venue> {
    const adapter = adapters.get(exchange)
    if (!adapter?.settings.has(mode)) throw new VenueError('unauthorised', lacking(exchange, mode, adapter ?? null))
    return adapter.definition.open(adapter.settings.get(mode), mode, world)
  }

  return {
    async get(exchange, mode) {
      const key = `${exchange} ${mode}`
      const known = open.get(key)
      if (known) return known
      const opening = Promise.resolve().then(() => opened(exchange, mode))
      open.set(key, opening)
      // The next one who asks tries anew.
      opening.catch(() => open.delete(key))
      return opening
    },
    configured: () =>
      [...adapters].flatMap(([exchange, { settings }]) => [...settings.keys()].map((mode) => ({ exchange, mode }))),
    known: () => [
      ...[...adapters].map(([exchange, { definition, settings, problems }]) => ({
        exchange,
        modes: [...definition.modes],
        configured: [...settings.keys()],
        problems,
        accounts: [...settings].map(([mode, of]) => ({ mode, ...definition.address(of, mode) })),
      })),
      ...broken,
    ],
    async close() {
      const venues = await Promise.allSettled(open.values())
      open.clear()
      await Promise.allSettled(venues.map((venue) => (venue.status === 'fulfilled' ? venue.value.close() : null)))
    },
  }
}

async function load(dir: string, id: string): Promise<VenueDefinition> {
  const { default: definition } = (await import(pathToFileURL(join(dir, id, 'index.ts')).href)) as {
    default?: Partial<VenueDefinition>
  }
  const isWhole =
    typeof definition?.settings === 'function' &&
    typeof definition.address === 'function' &&
    typeof definition.open === 'function' &&
    Array.isArray(definition.modes)
  if (!isWhole) throw new Error('index.ts must export a VenueDefinition by default')
  if (definition.id !== id) throw new Error(`its id is ${definition.id}, and its folder ${id}: they must be the same`)
  return definition as VenueDefinition
}

function configure(definition: VenueDefinition, env: Readonly<Record<string, string | undefined>>): Adapter {
  const adapter: Adapter = { definition, settings: new Map(), problems: [] }
  for (const mode of definition.modes) {
    try {
      const settings = definition.settings(env, mode)
      if (settings !== null) adapter.settings.set(mode, settings)
    } catch (error) {
      adapter.problems.push(`its ${mode} settings: ${messageOf(error)}`)
    }
  }
  return adapter
}

function lacking(exchange: string, mode: TradingMode, adapter: Adapter | null): string {
  if (adapter === null) return `there is no exchange ${exchange}`
  if (!adapter.definition.modes.includes(mode)) return `${exchange} has no ${mode} trading`
  return [`${exchange} is not configured for ${mode} trading`, ...adapter.problems].join('; ')
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
