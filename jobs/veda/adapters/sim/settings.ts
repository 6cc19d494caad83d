/** How the simulator's account is opened. */
import { z } from 'zod'

export const simSettings = z.strictObject({
  /** The market follows from it. */
  seed: z.int().min(0).max(0xffffffff).default(1),
  cash: z
    .string()
    .regex(/^\d{1,15}(\.\d{1,2})?$/, 'must be an amount of money such as 1000000')
    .default('1000000'),
  commission_bps: z.number().min(0).max(1_000).default(0),
  /** A crypto buy's commission is kept from what is bought. */
  fee_in_kind: z.boolean().default(false),
  spread_bps: z.number().min(0).max(1_000).default(2),
  /** Money that can be taken at a second, on average: more is filled in parts. */
  depth: z.number().min(1).max(1e12).default(50_000),
  allow_short: z.boolean().default(true),
})

export type SimSettings = z.output<typeof simSettings>

export const VARIABLES = {
  seed: 'SIM_SEED',
  cash: 'SIM_CASH',
  commission_bps: 'SIM_COMMISSION_BPS',
  fee_in_kind: 'SIM_FEE_IN_KIND',
  spread_bps: 'SIM_SPREAD_BPS',
  depth: 'SIM_DEPTH',
  allow_short: 'SIM_ALLOW_SHORT',
} as const satisfies Record<keyof SimSettings, string>

const NUMBERS = new Set<string>(['seed', 'commission_bps', 'spread_bps', 'depth'])
const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false }

/** Throws with what is wrong, by name. */
export function readSettings(env: Readonly<Record<string, string | undefined>>): SimSettings {
  const given: Record<string, unknown> = {}
  for (const [name, variable] of Object.entries(VARIABLES)) {
    const text = env[variable]
    if (text === undefined || text === '') continue
    given[name] = NUMBERS.has(name) ? Number(text) : (FLAGS[text] ?? text)
  }
  const read = simSettings.safeParse(given)
  if (read.success) return read.data
  const issues = read.error.issues.map(({ path, message }) => `${VARIABLES[path[0] as keyof SimSettings]}: ${message}`)
  throw new Error(issues.join('; '))
}
