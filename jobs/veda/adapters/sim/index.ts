/** `sim`: a market that is always there, so that paper trading works with no account and no network. */
import { isDeepStrictEqual } from 'node:util'
import type { VenueDefinition } from '../../venue.ts'
import { readSettings, type SimSettings, simSettings } from './settings.ts'
import { ACCOUNT, openSim } from './venue.ts'

const definition: VenueDefinition<SimSettings> = {
  id: 'sim',
  modes: ['paper'],
  settings: (env) => readSettings(env),
  address: () => ({ host: null, custom_host: false, doubts: [] }),
  async open(settings, _mode, world) {
    const opened = (await world.simBook.peek(ACCOUNT))?.settings
    if (opened !== undefined && !isDeepStrictEqual(simSettings.parse(opened), settings)) {
      world.log(
        'warn',
        { opened, given: settings },
        'the simulator keeps to the settings that its account was opened with',
      )
    }
    return openSim(settings, world)
  },
}

export default definition
