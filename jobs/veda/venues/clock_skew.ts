/**
 * How far our clock is ahead of another at least, below zero: behind, whatever the way there and back took; 0: they may
 * agree. `asked` and `answered` are ours, `theirs` was read in between. Milliseconds. Pure.
 */
export function skewOf(asked: number, theirs: number, answered: number): number {
  if (theirs < asked) return asked - theirs
  return theirs > answered ? answered - theirs : 0
}

/** What decisions bear without coming to harm. */
export const MOST_SKEW_MS = 1_000
