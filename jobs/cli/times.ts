import { readTime } from '../../db/walle/import/time_text.ts'
import { CliError } from './context.ts'

/** A time given by a person as ISO 8601 UTC. Without a zone it is read in the configured one. */
export function timeOf(option: string, text: string, zone: string): string {
  const reading = readTime(text, zone)
  if ('time' in reading) return new Date(reading.time).toISOString()
  throw new CliError(`${option} ${text} ${reading.reason}`, 2)
}
