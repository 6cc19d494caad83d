/** The installation's risk limits, `WEAVER_RISK_<LIMIT>`: they hold for every run; one of its own counts where it is stricter. */
import { z } from 'zod'
import { type RiskLimits, riskSchema } from '../glados/risk.ts'

const PREFIX = 'WEAVER_RISK_'

type Limit = keyof RiskLimits
const LIMITS = Object.keys(riskSchema.shape) as Limit[]

const nameOf = (limit: Limit) => `${PREFIX}${limit.toUpperCase()}`

/** A limit as text, read by the schema that a run's own limits are read by. */
const limitText = (limit: Limit) =>
  z.string().transform((text, issues) => {
    const value = limit === 'symbol_allow_list' ? text.split(',').map((item) => item.trim()) : text
    const parsed = riskSchema.shape[limit].safeParse(value)
    if (parsed.success) return parsed.data
    issues.addIssue({ code: 'custom', message: `is no ${limit}: ${parsed.error.issues[0]?.message}` })
    return z.NEVER
  })

/** For the schema of the environment. */
export const riskVariables = Object.fromEntries(LIMITS.map((limit) => [nameOf(limit), limitText(limit).optional()]))

export function riskOf(variables: Record<string, unknown>): RiskLimits {
  const given = LIMITS.map((limit) => [limit, variables[nameOf(limit)]] as const)
  return Object.freeze(Object.fromEntries(given.filter(([, value]) => value !== undefined)))
}

/** A limit that is spelled wrong would protect nobody, so it is a problem. */
export function unknownLimits(names: readonly string[]): string[] {
  const known = LIMITS.map(nameOf)
  return names
    .filter((name) => name.startsWith(PREFIX) && !known.includes(name))
    .map((name) => `${name} is no limit that there is: there are ${known.join(', ')}`)
}
