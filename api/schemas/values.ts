import { z } from '@hono/zod-openapi'
import { readTime } from '../../db/walle/import/time_text.ts'
import { TIMEFRAMES } from '../../strategies/api.ts'

export const id = z.uuid()
export const decimal = z.string().openapi({ description: 'A decimal number in plain notation.', example: '0.25' })
export const instant = z.string().openapi({ description: 'ISO 8601, UTC.', example: '2024-01-31T09:30:00.000Z' })
export const timeframe = z.enum(TIMEFRAMES, `use one of ${TIMEFRAMES.join(', ')}`)
/** Longest name of a symbol or a strategy that a query may hold. */
const LONGEST_NAME = 200
/** Postgres keeps no NUL in texts. */
export const name = z
  .string()
  .min(1)
  .max(LONGEST_NAME)
  .refine((text) => !text.includes('\0'), 'may not hold a NUL character')
export const json = z.unknown().openapi({ description: 'Any JSON.' })
export const object = z.record(z.string(), json)

export const params = z.object({ id: id.openapi({ param: { name: 'id', in: 'path' } }) })

export const LARGEST_PAGE = 1_000_000

const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most)

export function paging({ page_size, most }: { page_size: number; most: number }) {
  return { page: whole(1, LARGEST_PAGE).default(1), page_size: whole(1, most).default(page_size) }
}

export function limited(limit: number, most: number) {
  return whole(1, most).default(limit)
}

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    total: z.number(),
    page: z.number(),
    page_size: z.number(),
    total_is_estimate: z.boolean().optional().openapi({ description: 'Totals above 10,000 are estimates.' }),
  })
}

/** A time that a client gives, as ISO 8601 UTC. One without a zone is read in `zone`. */
export function timeIn(zone: string) {
  return z
    .string()
    .transform((text, context) => {
      const reading = readTime(text, zone)
      if ('time' in reading) return new Date(reading.time).toISOString()
      context.addIssue({ code: 'custom', message: reading.reason })
      return z.NEVER
    })
    .openapi({
      type: 'string',
      description: `ISO 8601, from 1900 to 2199; without a zone it is read in ${zone}.`,
      example: '2024-01-31T09:30:00Z',
    })
}

export const problem = z
  .object({
    code: z.string(),
    message: z.string(),
    details: object,
    correlation_id: z.string(),
    timestamp: instant,
  })
  .openapi('Error')

type Schema = z.ZodType

/** The answers of a route: its own, and any error in the one shape. */
export function answers<Status extends 200 | 201 | 202, Body extends Schema>(
  status: Status,
  schema: Body,
  description: string,
) {
  return { [status]: { description, content: { 'application/json': { schema } } } } as {
    [S in Status]: { description: string; content: { 'application/json': { schema: Body } } }
  }
}
