/** A person gets out of a position: what they are asked, and what becomes of it, in words. Pure. */
import { direction, quantity } from '../format.ts'
import { isOpenOrder, type Order, type Position, type Run } from '../types.ts'

/** As the order says it that closes by hand. */
const BY_HAND = 'closed by hand'

/** Such as `sell 10 AAPL`. */
export function closingWords({ qty, symbol }: Pick<Position, 'qty' | 'symbol'>): string {
  return `${direction(qty) > 0 ? 'sell' : 'buy'} ${quantity(qty).replace(/^[-−]/, '')} ${symbol}`
}

/** What follows from it, before it is done. */
export function closingHint({ status, halted }: Pick<Run, 'status' | 'halted'>, symbol: string): string {
  const first = `At the market. What the run has open in ${symbol} is cancelled first.`
  if (status !== 'running') return `${first} The run has ended, and stays as it is.`
  if (halted !== null) return `${first} The run stays halted: its strategy orders nothing until it is resumed.`
  return `${first} The run goes on, and its strategy may enter again at its next tick: stop it if it is not to.`
}

export function isClosingByHand({ symbol }: Pick<Position, 'symbol'>, open: readonly Order[]): boolean {
  return open.some((order) => order.symbol === symbol && order.reason === BY_HAND && isOpenOrder(order))
}

interface Asked {
  side: string
  qty: string
  symbol: string
  already: boolean
  waits_for: string | null
}

/** `order` undefined: it is not on record yet. */
export function becameOf(asked: Asked, order: Order | undefined): { text: string; bad: boolean } {
  const what = `${asked.side} ${quantity(order?.qty ?? asked.qty)} ${asked.symbol}`
  if (order?.status === 'filled') return { text: `${what}: filled at ${order.filled_avg_price}`, bad: false }
  if (order !== undefined && !isOpenOrder(order)) {
    return { text: `${what} was ${order.status}: ${order.reject_reason ?? 'it is held still'}`, bad: true }
  }
  const waits = asked.waits_for === null ? '' : `; it waits for ${asked.waits_for}`
  return { text: `${what} is on its way${asked.already ? ' already' : ''}${waits}`, bad: false }
}
