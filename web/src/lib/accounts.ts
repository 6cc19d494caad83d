/** What is not well with an account at an exchange, in words. Pure. */
import type { Account, AccountPosition } from './types.ts'

export function accountProblems(account: Account): string[] {
  const { state, state_reason, blocked, stream } = account
  return [
    ...(state === 'ready' ? [] : [`No order leaves: ${state_reason ?? 'the account has not been checked yet.'}`]),
    ...(blocked === null ? [] : [`The exchange lets nothing be traded: ${blocked}`]),
    ...(stream === 'down' ? ['Its stream of updates is down: changes of orders are found by asking.'] : []),
  ]
}

/** Symbols of which no new order leaves. */
export const pausedOf = (account: Account, symbols: readonly string[]): AccountPosition[] =>
  account.positions.filter(({ symbol, paused_reason }) => paused_reason !== null && symbols.includes(symbol))

/** A question to its venue that has not been answered. */
export const isReconciling = ({ reconcile_requested_at: asked, reconciled_at: done }: Account): boolean =>
  asked !== null && (done === null || Date.parse(done) < Date.parse(asked))
