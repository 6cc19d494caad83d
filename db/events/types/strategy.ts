import { z } from 'zod'
import { cmd, evt } from './kinds.ts'
import { cancelOrder, count, intent, placeOrder, windowRequests } from './shared.ts'

export const strategyEvents = {
  'strategy.FetchWindow': cmd(windowRequests.shape),
  /** Emitted at every tick, also when nothing was wanted: then `skips` may say why. */
  'strategy.DecisionMade': evt({
    bar_index: count,
    intents: z.array(intent),
    skips: z.array(z.string()),
    logs: z.array(z.strictObject({ message: z.string(), data: z.json().exactOptional() })),
  }),
  'strategy.PlaceRequest': cmd(placeOrder.shape),
  'strategy.CancelRequest': cmd(cancelOrder.shape),
} as const
