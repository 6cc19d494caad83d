/** Alpaca: US equities and crypto, paper and live. */
import type { VenueDefinition } from '../../venue.ts'
import { type AlpacaSettings, readSettings } from './settings.ts'
import { openAlpaca } from './venue.ts'

const definition: VenueDefinition<AlpacaSettings> = {
  id: 'alpaca',
  modes: ['paper', 'live'],
  settings: readSettings,
  open: async (settings, mode, world) => openAlpaca(settings, mode, world),
}
export default definition
