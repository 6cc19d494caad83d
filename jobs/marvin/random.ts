/** The seeded generator behind `ctx.random()`: mulberry32, whose whole state is one unsigned 32-bit number. */
export interface RandomState {
  value: number
}

export function seedRandom(seed: number): RandomState {
  // Seeds beyond 32 bits keep their high part; neighbouring seeds end far apart by mulberry's own mixing.
  const high = Math.floor(Math.abs(seed) / 2 ** 32) >>> 0
  return { value: ((seed >>> 0) ^ Math.imul(high, 0x9e3779b1)) >>> 0 }
}

/** Uniform in [0, 1). */
export function nextRandom(state: RandomState): number {
  state.value = (state.value + 0x6d2b79f5) >>> 0
  let mixed = state.value
  mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}
