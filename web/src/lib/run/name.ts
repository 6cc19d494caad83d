import type { Run } from '../types.ts'

export const nameOf = (run: Pick<Run, 'label' | 'strategy_id' | 'symbols'>) =>
  run.label || `${run.strategy_id} ${run.symbols.join(', ')}`
