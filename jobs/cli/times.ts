import { zoneOffsets } from '../../db/walle/import/time_text.ts'
import { CliError } from './context.ts'

const ISO = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?$/i

/** A time given by a person as ISO 8601 UTC. Without a zone it is read in the configured one. */
export function timeOf(option: string, text: string, zone: string): string {
  const time = ISO.test(text) ? Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text.slice(10)) ? text : wall(text)) : Number.NaN
  if (Number.isNaN(time)) throw new CliError(`${option} ${text} is not a time such as 2024-01-31T09:30:00Z`, 2)
  const named = /(Z|[+-]\d\d:?\d\d)$/i.test(text.slice(10)) || text.length === 10
  const offset = named ? 0 : zoneOffsets(zone)(time)
  return new Date(time - offset).toISOString()
}

/** The wall time as if it were UTC. */
function wall(text: string): string {
  return text.length === 10 ? text : `${text.replace(' ', 'T')}Z`
}
