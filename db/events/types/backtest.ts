import { cmd } from './kinds.ts'
import { cancelOrder, placeOrder, windowRequests } from './shared.ts'

export const backtestEvents = {
  'backtest.FetchWindow': cmd(windowRequests.shape),
  'backtest.PlaceOrder': cmd(placeOrder.shape),
  'backtest.CancelOrder': cmd(cancelOrder.shape),
} as const
