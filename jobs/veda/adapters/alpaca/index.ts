/** Alpaca: US equities and crypto, paper and live. */
import type { VenueDefinition } from '../../venue.ts'
import { type AlpacaSettings, customHost, readSettings } from './settings.ts'
import { openAlpaca } from './venue.ts'

const definition: VenueDefinition<AlpacaSettings> = {
  id: 'alpaca',
  modes: ['paper', 'live'],
  settings: readSettings,
  async open(settings, mode, world) {
    const host = customHost(settings)
    if (host !== null) {
      world.log(
        'warn',
        { exchange: 'alpaca', mode, host },
        `orders of alpaca ${mode} go to ${host}, which is not Alpaca's`,
      )
    }
    return openAlpaca(settings, mode, world)
  },
}
export default definition
