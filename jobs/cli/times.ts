import { readTime } from '../../db/walle/import/time_text.ts'
import { CliError } from './context.ts'

/** A time given by a person as ISO 8601 UTC. Without a zone it is read in the configured one. */
export function timeOf(option: string, text: string, zone: string): string {
  const time = readTime(text, zone)
  if (time === null) throw new CliError(`${option} ${text} is not a time such as 2024-01-31T09:30:00Z`, 2)
  return new Date(time).toISOString()
}
