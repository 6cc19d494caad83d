/** What a metric is before it is rendered: its name, its help, its samples. */
import type { Reader } from '../../db/database.ts'

export interface Sample {
  labels?: Record<string, string>
  value: number
}

export interface Family {
  name: string
  help: string
  type: 'gauge' | 'counter'
  samples: Sample[]
}

const family =
  (type: Family['type']) =>
  (name: string, help: string, given: readonly Sample[] | number | null): Family => {
    const samples = given === null ? [] : typeof given === 'number' ? [{ value: given }] : [...given]
    return { name, help, type, samples }
  }
export const gauge = family('gauge')
export const counter = family('counter')

/** What a question of the database is answered with. */
export type Answer<Question extends (reader: Reader, ...rest: never[]) => Promise<unknown>> = Awaited<
  ReturnType<Question>
>

/** How far back what is `recent` goes. */
export const RECENT_MINUTES = 5
export const QUANTILES = ['0.5', '0.95', '1']
