import { z } from 'zod'
import { cmd } from './kinds.ts'
import { cancelOrder, placeOrder, windowRequests } from './shared.ts'

export const liveEvents = {
  'live.FetchWindow': cmd(windowRequests.shape),
  /** `by`: the person who closes a position by it; absent: its strategy, or the end of its run, and then it is of a tick. */
  'live.PlaceOrder': cmd({
    bar_index: placeOrder.shape.bar_index.exactOptional(),
    ordinal: placeOrder.shape.ordinal.exactOptional(),
    intent: placeOrder.shape.intent,
    by: z.string().min(1).exactOptional(),
  }),
  /** `by`: the person who asked; absent: the strategy, and then it is of a tick. */
  'live.CancelOrder': cmd({
    bar_index: cancelOrder.shape.bar_index.exactOptional(),
    ordinal: cancelOrder.shape.ordinal.exactOptional(),
    client_order_id: cancelOrder.shape.client_order_id,
    by: z.string().min(1).exactOptional(),
  }),
} as const
