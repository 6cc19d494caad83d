import type { Run } from '../types.ts'

export const nameOf = (run: Pick<Run, 'label' | 'strategy_id' | 'symbols'>) =>
  run.label || `${run.strategy_id} ${run.symbols.join(', ')}`

/** What it is at, in a word: also where that is less than its status says. */
export function standingOf({ status, stopping, halted }: Pick<Run, 'status' | 'stopping' | 'halted'>): string {
  if (stopping !== null) return 'stopping'
  return halted === null ? status : 'halted'
}

/** What the exchange is still to confirm before a run that is to stop has stopped. */
export function stoppingWords({ stopping }: Pick<Run, 'stopping'>): string {
  if (stopping === null) return ''
  const { cancel_orders, close_positions } = stopping
  if (close_positions) return 'its open orders are cancelled and its positions closed'
  return cancel_orders ? 'its open orders are cancelled, its positions stay' : 'its orders and positions stay'
}
