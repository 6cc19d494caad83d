import { cmd } from './kinds.ts'
import { cancelOrder, placeOrder, windowRequests } from './shared.ts'

export const liveEvents = {
  'live.FetchWindow': cmd(windowRequests.shape),
  'live.PlaceOrder': cmd(placeOrder.shape),
  'live.CancelOrder': cmd(cancelOrder.shape),
} as const
