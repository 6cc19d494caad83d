/** Alpaca's adapter on its emulator, in a time that goes faster than the wall's. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import definition from '../../../jobs/veda/adapters/alpaca/index.ts'
import type { TradingMode, Venue, VenueWorld } from '../../../jobs/veda/venue.ts'
import { type Emulator, type EmulatorOptions, startEmulator } from './emulator.ts'

export interface AlpacaWorld {
  emulator: Emulator
  venue: Venue
  world: VenueWorld
  logged: string[]
  /** Buckets that were told to be empty. */
  emptied: string[]
  now(): number
  close(): Promise<void>
}

export interface AlpacaWorldOptions extends Omit<EmulatorOptions, 'now'> {
  start?: number
  /** So much faster than the wall's. */
  speed?: number
  /** Read by the adapter beside what leads to the emulator. */
  env?: Record<string, string>
}

export async function openAlpacaWorld(options: AlpacaWorldOptions = {}): Promise<AlpacaWorld> {
  const { start = Date.UTC(2026, 2, 2, 15, 0, 30), speed = 20, mode = 'paper' } = options
  const begun = Date.now()
  const now = () => start + (Date.now() - begun) * speed
  const emulator = await startEmulator({ rateLimit: 100_000, ...options, now })
  const logged: string[] = []
  const emptied: string[] = []
  const world: VenueWorld = {
    now,
    sleep: (ms) => sleep(ms / speed),
    newId: randomUUID,
    log: (level, fields, message) => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    takeToken: async () => {},
    emptyBucket: async (bucket, retryAfterMs) => void emptied.push(`${bucket} ${retryAfterMs}`),
    simBook: null as never,
  }
  const venue = await openVenue({ ...emulator.env, ...options.env }, mode, world)
  return {
    emulator,
    venue,
    world,
    logged,
    emptied,
    now,
    async close() {
      await venue.close()
      await emulator.close()
    },
  }
}

export async function openVenue(env: Record<string, string>, mode: TradingMode, world: VenueWorld): Promise<Venue> {
  const settings = definition.settings(env, mode)
  if (settings === null) throw new Error(`no keys for ${mode}`)
  return definition.open(settings, mode, world)
}
