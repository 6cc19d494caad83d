import type { RunError } from '../../db/walle/rows.ts'

/** What a strategy did that ends its run and touches no other: told in the run's own words. */
export class StrategyFailure extends Error {
  readonly failure: RunError
  constructor(failure: RunError) {
    super(failure.message)
    this.name = 'StrategyFailure'
    this.failure = failure
  }
}

/** A host ended through no doing of its strategy (stopped, killed from outside, not started): ask again in another. */
export class HostLost extends Error {
  override name = 'HostLost'
}
