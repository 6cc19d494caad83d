import { z } from 'zod'
import { cmd, evt } from './kinds.ts'
import { cancelOrder, count, intent, placeOrder, windowRequests } from './shared.ts'

export const strategyEvents = {
  'strategy.FetchWindow': cmd(windowRequests.shape),
  /** Emitted at every tick, also when nothing was wanted: then `skips` may say why. */
  'strategy.DecisionMade': evt({
    bar_index: count,
    /** Absent: the tick's own. From 1: what was asked for when an order changed, between this tick and the next. */
    part: count.min(1).exactOptional(),
    intents: z.array(intent),
    skips: z.array(z.string()),
    logs: z.array(z.strictObject({ message: z.string(), data: z.json().exactOptional() })),
    /** More was asked for than an event holds: intents and logs are in the row of `decisions` that has the event's id, reasons in `skips`. */
    left_out: z.strictObject({ intents: count, skips: count, logs: count }).exactOptional(),
  }),
  'strategy.PlaceRequest': cmd(placeOrder.shape),
  'strategy.CancelRequest': cmd(cancelOrder.shape),
} as const
