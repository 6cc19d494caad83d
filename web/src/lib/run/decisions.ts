/** A decision in words. Pure. */
import { price, quantity } from '../format.ts'
import type { Decision } from '../types.ts'

export const KIND_WORDS: Record<Decision['kind'], string> = {
  acted: 'acted',
  noted: 'noted',
  skipped: 'did nothing',
  risk: 'refused by a risk rule',
  rejected: 'rejected',
}

const asText = (value: unknown) => (typeof value === 'string' || typeof value === 'number' ? String(value) : null)

/** What was asked for: `buy 2 BTC/USD limit 100; cancel`. */
export function whatOf({ intents, logs }: Decision): string {
  if (intents.length === 0) return logs.map(messageOf).filter(Boolean).join('; ')
  return intents
    .map((intent) => {
      if (intent.kind === 'cancel') return 'cancel an order'
      const level = asText(intent.limit_price) ?? asText(intent.stop_price)
      const parts = [
        intent.side,
        quantity(asText(intent.qty)),
        intent.symbol,
        asText(intent.order_type)?.replace('_', ' '),
      ]
      return [...parts, level === null ? null : price(level)]
        .filter((part) => part !== null && part !== undefined)
        .join(' ')
    })
    .join('; ')
}

/** Reasons: the strategy's own, or the rule that refused. */
export function whyOf({ intents, skips, rule }: Decision): string {
  const reasons = intents.map(({ reason }) => asText(reason)).filter((reason) => reason !== null)
  return [...new Set([...reasons, ...skips, ...(rule === null ? [] : [rule])])].join('; ')
}

function messageOf(log: unknown): string {
  return typeof log === 'object' && log !== null && 'message' in log ? String(log.message) : ''
}
