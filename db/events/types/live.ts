import { z } from 'zod'
import { cmd } from './kinds.ts'
import { cancelOrder, placeOrder, windowRequests } from './shared.ts'

export const liveEvents = {
  'live.FetchWindow': cmd(windowRequests.shape),
  'live.PlaceOrder': cmd(placeOrder.shape),
  /** `by`: the person who asked; absent: the strategy, and then it is of a tick. */
  'live.CancelOrder': cmd({
    bar_index: cancelOrder.shape.bar_index.exactOptional(),
    ordinal: cancelOrder.shape.ordinal.exactOptional(),
    client_order_id: cancelOrder.shape.client_order_id,
    by: z.string().min(1).exactOptional(),
  }),
} as const
