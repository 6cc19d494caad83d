/**
 * The rules by which orders meet bars. Engines disagree about nearly all of them, so the set has a name and a version,
 * is stored whole with each run, and other engines' sets are presets. docs/fills.md tells each rule in words.
 */
import { z } from 'zod'

export const FILL_PRESETS = ['weaver', 'backtrader', 'backtesting_py'] as const
export type FillPreset = (typeof FILL_PRESETS)[number]

/** Raised when a rule changes what a preset gives. */
export const FILL_MODEL_VERSION = 2

export const COMMISSIONS = ['flat', 'alpaca_crypto'] as const
export type Commission = (typeof COMMISSIONS)[number]

const PLAIN = /^\d{1,20}(\.\d{1,20})?$/
const decimal = z
  .union([z.string(), z.number()])
  .transform(String)
  .pipe(z.string().regex(PLAIN, 'must be a plain decimal number that is not negative, such as 0.25'))
/** A number, or its text as a command line gives it: nothing else that JavaScript would turn into one. */
const number = z.union([z.number(), z.string().regex(PLAIN).transform(Number)], 'must be a number, such as 0.25')
/** At 10,000 a sale would be for nothing. */
const MOST_SLIPPAGE_BPS = 10_000

const overrides = z.strictObject({
  /** Does a limit fill when the bar only touches it, or must it trade through it? */
  limit_fill: z.enum(['penetrate', 'touch']).optional(),
  slippage_bps: decimal
    .refine((bps) => Number(bps) < MOST_SLIPPAGE_BPS, `must be below ${MOST_SLIPPAGE_BPS}`)
    .optional(),
  /** `flat`: the three numbers below. Otherwise a venue's schedule, in their place. */
  commission: z.enum(COMMISSIONS).optional(),
  commission_bps: decimal.optional(),
  commission_per_share: decimal.optional(),
  commission_min: decimal.optional(),
  /** Most of a bar's volume that this run may take, 0 to 1. Null: no cap. */
  max_volume_share: number.pipe(z.number().gt(0).max(1)).nullable().optional(),
  /** How many bars an order waits before it is first tested. */
  latency_bars: number.pipe(z.int().min(0).max(1000)).optional(),
  /** Grid that order prices must lie on. Null: any price. */
  price_increment: decimal
    .refine((step) => Number(step) > 0, 'must be more than 0')
    .nullable()
    .optional(),
  /** True: an equity's orders meet bars of the regular session only, unless they ask for extended hours. */
  regular_hours: z.union([z.boolean(), z.stringbool()]).optional(),
  allow_short: z.union([z.boolean(), z.stringbool()]).optional(),
  leverage: number.pipe(z.number().min(1).max(100)).optional(),
  close_at_end: z.union([z.boolean(), z.stringbool()]).optional(),
})

/** What `alpaca_crypto` does not go with: it takes the place of the numbers, and its venue lends no coins and no money. */
const NOT_AT_ALPACA_CRYPTO = {
  commission_bps: 'the schedule takes its place: leave it out',
  commission_per_share: 'the schedule takes its place: leave it out',
  commission_min: 'the schedule takes its place: leave it out',
  allow_short: 'the venue of this schedule lends no coins: leave it out',
  leverage: 'the venue of this schedule lends no money: leave it at 1',
} as const

export const fillRequestSchema = overrides
  .extend({ preset: z.enum(FILL_PRESETS).default('weaver') })
  .superRefine((request, issues) => {
    if (request.commission !== 'alpaca_crypto') return
    for (const [name, why] of Object.entries(NOT_AT_ALPACA_CRYPTO)) {
      const given = request[name as keyof typeof NOT_AT_ALPACA_CRYPTO]
      const neutral = given === undefined || Number(given) === (name === 'leverage' ? 1 : 0)
      if (!neutral) issues.addIssue({ code: 'custom', path: [name], message: `with commission alpaca_crypto ${why}` })
    }
  })
export type FillRequest = z.input<typeof fillRequestSchema>

export interface FillModel {
  preset: FillPreset
  version: number
  limit_fill: 'penetrate' | 'touch'
  /** How a stop-limit that triggers inside a bar may fill in that bar. */
  stop_limit: FillPreset
  /**
   * From when attached exits are tested: on the entry bar when the entry was at its open; on the entry bar after market
   * entries only; never before the next bar.
   */
  attached_from: 'entry_at_open' | 'market_entry' | 'next_bar'
  /** Where in its bar a market order fills. No preset has `next_close`: the assumption band plays it. */
  market_fill: 'next_open' | 'next_close'
  /** Which exit is taken in a bar that holds both. No preset has `take_profit`: the assumption band plays it. */
  ambiguous_bar: 'stop_loss' | 'take_profit'
  slippage_bps: string
  commission: Commission
  commission_bps: string
  commission_per_share: string
  commission_min: string
  max_volume_share: number | null
  latency_bars: number
  price_increment: string | null
  regular_hours: boolean
  allow_short: boolean
  leverage: number
  close_at_end: boolean
}

const WEAVER: FillModel = {
  preset: 'weaver',
  version: FILL_MODEL_VERSION,
  limit_fill: 'penetrate',
  stop_limit: 'weaver',
  attached_from: 'entry_at_open',
  market_fill: 'next_open',
  ambiguous_bar: 'stop_loss',
  slippage_bps: '0',
  commission: 'flat',
  commission_bps: '0',
  commission_per_share: '0',
  commission_min: '0',
  max_volume_share: null,
  latency_bars: 0,
  price_increment: null,
  regular_hours: false,
  allow_short: false,
  leverage: 1,
  close_at_end: false,
}

const PRESETS: Record<FillPreset, FillModel> = {
  weaver: WEAVER,
  backtrader: {
    ...WEAVER,
    preset: 'backtrader',
    limit_fill: 'touch',
    stop_limit: 'backtrader',
    attached_from: 'next_bar',
  },
  backtesting_py: {
    ...WEAVER,
    preset: 'backtesting_py',
    limit_fill: 'touch',
    stop_limit: 'backtesting_py',
    attached_from: 'market_entry',
  },
}

/** The whole model: the preset's rules with the request's numbers over them. */
export function resolveFillModel(request: z.output<typeof fillRequestSchema>): FillModel {
  const { preset, ...given } = request
  const numbers = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return { ...PRESETS[preset], ...numbers }
}

/** What of a resolved model a request has to give: the preset, and what differs from it. */
export function givenNumbers(model: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const preset = FILL_PRESETS.find((name) => name === model.preset) ?? 'weaver'
  const known: Readonly<Record<string, unknown>> = { ...PRESETS[preset] }
  const differ = Object.keys(overrides.shape).filter((name) => (model[name] ?? null) !== (known[name] ?? null))
  return Object.fromEntries([['preset', preset], ...differ.map((name) => [name, model[name]])])
}
