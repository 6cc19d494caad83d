/** Alpaca: US equities and crypto, paper and live. */
import type { VenueDefinition } from '../../venue.ts'
import { type AlpacaSettings, addressOf, readSettings } from './settings.ts'
import { openAlpaca } from './venue.ts'

const definition: VenueDefinition<AlpacaSettings> = {
  id: 'alpaca',
  modes: ['paper', 'live'],
  settings: readSettings,
  address: addressOf,
  async open(settings, mode, world) {
    const { host, custom_host } = addressOf(settings, mode)
    if (custom_host) {
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
