import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Emulator, startEmulator } from '../../tests/support/alpaca/emulator.ts'
import { loadConfig } from '../config/config.ts'
import { wallClock } from '../glados/clock.ts'
import { createLog } from '../log.ts'
import { openVenuesAlone } from '../veda/venues/world.ts'
import { checkVenues } from './doctor_venues.ts'

let emulator: Emulator
beforeAll(async () => {
  emulator = await startEmulator({ key: 'AKWRONGKIND' })
})
afterAll(() => emulator.close())

test("an account is told by its number's end, its host and its state; keys of the other kind fail by name", async () => {
  const config = loadConfig(emulator.env)
  const venues = await openVenuesAlone(config, createLog('silent'), wallClock)
  const findings = (await checkVenues(venues)).filter(({ name }) => name === 'alpaca paper')
  await venues.close()
  const host = new URL(emulator.env.ALPACA_PAPER_BASE_URL as string).host
  expect(findings).toEqual([
    {
      ...{ name: 'alpaca paper', ok: false },
      text: 'ALPACA_PAPER_API_KEY looks like a key of live trading (it begins with AK): take the keys of the paper account',
    },
    {
      ...{ name: 'alpaca paper', ok: true },
      text: expect.stringMatching(
        new RegExp(
          `^paper account ….{4} at ${host}, which is NOT the exchange's own host: active, equity [\\d.]+ USD$`,
        ),
      ),
    },
    { ...{ name: 'alpaca paper', ok: true }, text: expect.stringMatching(/^the clock is -?\d+ ms from/) },
  ])
})
