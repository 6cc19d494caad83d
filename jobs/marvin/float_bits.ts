/** The two halves of a float64's bits, as arithmetic libraries want them. */

const value = new Float64Array(1)
const words = new Int32Array(value.buffer)
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0

/** Sign, exponent and the upper 20 bits of the fraction; negative for negative numbers. */
export function highWord(x: number): number {
  value[0] = x
  return words[HIGH] as number
}

export function lowWord(x: number): number {
  value[0] = x
  return words[1 - HIGH] as number
}

export function fromWords(high: number, low: number): number {
  words[HIGH] = high
  words[1 - HIGH] = low
  return value[0] as number
}

export const withHighWord = (x: number, high: number): number => fromWords(high, lowWord(x))

/** The upper half of the fraction: products of two such are exact. */
export const upperHalf = (x: number): number => fromWords(highWord(x), 0)

/** 2 to the power k, for -1022 <= k <= 1023. */
export const powerOfTwo = (k: number): number => fromWords((1023 + k) << 20, 0)

/** y times 2 to the power k, also where that power itself is no float64. */
export function scaled(y: number, k: number): number {
  if (k > 1023) return y * 2 * powerOfTwo(k - 1)
  if (k < -1021) return y * powerOfTwo(k + 1000) * powerOfTwo(-1000)
  return y * powerOfTwo(k)
}
