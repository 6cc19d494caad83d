/**
 * Sines and their inverses with the same bits on every runtime, as portable_math.ts has the exponentials.
 *
 * After fdlibm: Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro, a Sun
 * Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is freely granted, provided
 * that this notice is preserved.
 */
import { highWord, upperHalf } from './float_bits.ts'

const HALF_PI = 1.5707963267948966
/** What HALF_PI lacks. */
const HALF_PI_LOW = 6.123233995736766e-17

/** An angle as quarter turns and what is left of it, in two parts, within an eighth of a turn. */
interface Angle {
  quarters: number
  y: number
  low: number
}

/** Up to here pi / 2 in three parts of 33 bits is exact enough. */
const MEDIUM = 2 ** 20 * HALF_PI
const PARTS = [
  [1.5707963267341256, 6.077100506506192e-11],
  [6.077100506303966e-11, 2.0222662487959506e-21],
  [2.0222662487111665e-21, 8.4784276603689e-32],
] as const
/** Bits that may cancel before the next part is needed. */
const MOST_CANCELLED = [16, 49] as const

function reduce(x: number): Angle {
  const size = Math.abs(x)
  if (size <= 0.5 * HALF_PI) return { quarters: 0, y: x, low: 0 }
  const angle = size < MEDIUM ? reduceMedium(size) : reduceLarge(size)
  return x < 0 ? { quarters: -angle.quarters & 3, y: -angle.y, low: -angle.low } : angle
}

function reduceMedium(x: number): Angle {
  const turns = Math.floor(x * 0.6366197723675814 + 0.5)
  const exponent = highWord(x) >> 20
  let rest = x - turns * PARTS[0][0]
  let tail = turns * PARTS[0][1]
  let y = rest - tail
  for (const part of [0, 1] as const) {
    if (exponent - ((highWord(y) >> 20) & 0x7ff) <= MOST_CANCELLED[part]) break
    const [upper, lower] = PARTS[part === 0 ? 1 : 2]
    const before = rest
    const taken = turns * upper
    rest = before - taken
    tail = turns * lower - (before - rest - taken)
    y = rest - tail
  }
  return { quarters: turns & 3, y, low: rest - y - tail }
}

/** Enough for the largest float64: 1024 bits before the point, 176 after it. */
const BITS = 1200n
/** Of those, the ones that are kept of what is left: enough for two float64. */
const KEPT = 256n

let constants: { halfPi: bigint; inverse: bigint } | null = null

/** pi / 2 and 2 / pi, times 2 to the power BITS. By Machin: pi / 4 = 4 atan(1/5) - atan(1/239). */
function bigConstants(): { halfPi: bigint; inverse: bigint } {
  if (constants) return constants
  const guard = 32n
  const one = 1n << (BITS + guard)
  const inverseAtan = (x: bigint): bigint => {
    let sum = 0n
    let power = one / x
    for (let n = 1n; power !== 0n; n += 2n) {
      sum += n % 4n === 1n ? power / n : -(power / n)
      power /= x * x
    }
    return sum
  }
  const halfPi = (2n * (4n * inverseAtan(5n) - inverseAtan(239n))) >> guard
  constants = { halfPi, inverse: (1n << (2n * BITS)) / halfPi }
  return constants
}

function reduceLarge(x: number): Angle {
  const { halfPi, inverse } = bigConstants()
  // From 2 to the power 53 on a float64 is whole; below it has at most 32 bits after the point.
  const product = x < 2 ** 53 ? (BigInt(x * 2 ** 32) * inverse) >> 32n : BigInt(x) * inverse
  const quarters = (product + (1n << (BITS - 1n))) >> BITS
  // No float64 comes nearer to a multiple of pi / 2 than 2 to the power -62.
  const rest = ((product - (quarters << BITS)) * halfPi) >> (2n * BITS - KEPT)
  const unit = 2 ** -Number(KEPT)
  const y = Number(rest) * unit
  return { quarters: Number(quarters & 3n), y, low: Number(rest - BigInt(y / unit)) * unit }
}

function sineOf(x: number, low: number): number {
  const z = x * x
  const w = z * z
  const r =
    0.00833333333332249 +
    z * (-0.0001984126982985795 + z * 2.7557313707070068e-6) +
    z * w * (-2.5050760253406863e-8 + z * 1.58969099521155e-10)
  const v = z * x
  return x - (z * (0.5 * low - v * r) - low - v * -0.16666666666666632)
}

function cosineOf(x: number, low: number): number {
  const z = x * x
  const w = z * z
  const r =
    z * (0.0416666666666666 + z * (-0.001388888888887411 + z * 2.480158728947673e-5)) +
    w * w * (-2.7557314351390663e-7 + z * (2.087572321298175e-9 + z * -1.1359647557788195e-11))
  const half = 0.5 * z
  const first = 1 - half
  return first + (1 - first - half + (z * r - x * low))
}

export function sin(x: number): number {
  if (!Number.isFinite(x)) return Number.NaN
  if (Math.abs(x) < 2 ** -26) return x
  const { quarters, y, low } = reduce(x)
  const value = quarters % 2 === 0 ? sineOf(y, low) : cosineOf(y, low)
  return quarters < 2 ? value : -value
}

export function cos(x: number): number {
  if (!Number.isFinite(x)) return Number.NaN
  const { quarters, y, low } = reduce(x)
  const value = quarters % 2 === 0 ? cosineOf(y, low) : sineOf(y, low)
  return quarters === 1 || quarters === 2 ? -value : value
}

/** Coefficients from the lowest power on. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduceRight((value, coefficient) => coefficient + x * value, 0)
}

const TANGENT = 0.3333333333333341
const TANGENT_ODD = [
  0.13333333333320124, 0.021869488294859542, 0.0035920791075913124, 0.0005880412408202641, 7.817944429395571e-5,
  -1.8558637485527546e-5,
]
const TANGENT_EVEN = [
  0.05396825397622605, 0.0088632398235993, 0.0014562094543252903, 0.0002464631348184699, 7.140724913826082e-5,
  2.590730518636337e-5,
]
/** Above this the series is too slow: tan(pi / 4 - x) is taken instead. */
const TANGENT_FOLDS = 0.67434
const QUARTER_PI = 0.7853981633974483
const QUARTER_PI_LOW = 3.061616997868383e-17

export function tan(x: number): number {
  if (!Number.isFinite(x)) return Number.NaN
  if (Math.abs(x) < 2 ** -27) return x
  const { quarters, y, low } = reduce(x)
  return tangentOf(y, low, quarters % 2 === 1)
}

/** tan(x + low), or -1 / tan(x + low). */
function tangentOf(x: number, low: number, inverted: boolean): number {
  const folded = Math.abs(x) >= TANGENT_FOLDS
  const side = x < 0 ? -1 : 1
  const y = folded ? QUARTER_PI - side * x + (QUARTER_PI_LOW - side * low) : x
  const z = y * y
  const w = z * z
  const series = polynomial(TANGENT_ODD, w) + z * polynomial(TANGENT_EVEN, w)
  const s = z * y
  const tail = folded ? 0 : low
  const r = tail + z * (s * series + tail) + s * TANGENT
  const value = y + r
  if (folded) {
    const sign = inverted ? -1 : 1
    return side * (sign - 2 * (y + (r - (value * value) / (value + sign))))
  }
  if (!inverted) return value
  // -1 / value, with what its rounding and that of `value` lost.
  const upper = upperHalf(value)
  const rest = r - (upper - y)
  const inverse = -1 / value
  const inverseUpper = upperHalf(inverse)
  return inverseUpper + inverse * (1 + inverseUpper * upper + inverseUpper * rest)
}

const ARC = [
  0.3333333333333293, -0.19999999999876483, 0.14285714272503466, -0.11111110405462356, 0.09090887133436507,
  -0.0769187620504483, 0.06661073137387531, -0.058335701337905735, 0.049768779946159324, -0.036531572744216916,
  0.016285820115365782,
]
const ARC_EVEN = ARC.filter((_, index) => index % 2 === 0)
const ARC_ODD = ARC.filter((_, index) => index % 2 === 1)

/** Angles whose tangents are 1/2, 1, 3/2 and infinity, in two parts. */
const ARC_HIGH = [0.4636476090008061, QUARTER_PI, 0.982793723247329, HALF_PI] as const
const ARC_LOW = [2.2698777452961687e-17, QUARTER_PI_LOW, 1.3903311031230998e-17, HALF_PI_LOW] as const

export function atan(x: number): number {
  const size = Math.abs(x)
  if (size < 2 ** -27 || Number.isNaN(x)) return x
  if (size >= 2 ** 66) return x < 0 ? -HALF_PI : HALF_PI
  if (size < 0.4375) return x - x * arcSeries(x)
  const [near, y] = nearestAngle(size)
  const angle = ARC_HIGH[near] - (y * arcSeries(y) - ARC_LOW[near] - y)
  return x < 0 ? -angle : angle
}

function arcSeries(x: number): number {
  const z = x * x
  const w = z * z
  return z * polynomial(ARC_EVEN, w) + w * polynomial(ARC_ODD, w)
}

function nearestAngle(size: number): [0 | 1 | 2 | 3, number] {
  if (size < 0.6875) return [0, (2 * size - 1) / (2 + size)]
  if (size < 1.1875) return [1, (size - 1) / (size + 1)]
  if (size < 2.4375) return [2, (size - 1.5) / (1 + 1.5 * size)]
  return [3, -1 / size]
}

export function atan2(y: number, x: number): number {
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.NaN
  const left = x < 0 || Object.is(x, -0)
  const below = y < 0 || Object.is(y, -0)
  const angle = angleOf(Math.abs(y), Math.abs(x))
  // pi as a float64, and what it lacks.
  const turned = left ? 2 * HALF_PI - (angle - 2 * HALF_PI_LOW) : angle
  return below ? -turned : turned
}

/** Between 0 and pi / 2, of what is not below zero. */
function angleOf(y: number, x: number): number {
  if (y === 0) return 0
  if (x === 0) return HALF_PI
  if (y === Number.POSITIVE_INFINITY) return x === y ? QUARTER_PI : HALF_PI
  return x === Number.POSITIVE_INFINITY ? 0 : atan(y / x)
}

const ARCSINE_OVER = [
  0.16666666666666666, -0.3255658186224009, 0.20121253213486293, -0.04005553450067941, 0.0007915349942898145,
  3.479331075960212e-5,
]
const ARCSINE_UNDER = [1, -2.403394911734414, 2.0209457602335057, -0.6882839716054533, 0.07703815055590194]

const arcsineSeries = (z: number): number => (z * polynomial(ARCSINE_OVER, z)) / polynomial(ARCSINE_UNDER, z)

export function asin(x: number): number {
  const size = Math.abs(x)
  if (!(size <= 1)) return Number.NaN
  if (size < 2 ** -26) return x
  if (size < 0.5) return x + x * arcsineSeries(x * x)
  const z = (1 - size) / 2
  const s = Math.sqrt(z)
  const r = arcsineSeries(z)
  const angle = size > 0.975 ? HALF_PI - (2 * (s + s * r) - HALF_PI_LOW) : arcsineNearOne(z, s, r)
  return x < 0 ? -angle : angle
}

function arcsineNearOne(z: number, s: number, r: number): number {
  const upper = upperHalf(s)
  const lower = (z - upper * upper) / (s + upper)
  return QUARTER_PI - (2 * s * r - (HALF_PI_LOW - 2 * lower) - (QUARTER_PI - 2 * upper))
}

export function acos(x: number): number {
  if (!(Math.abs(x) <= 1)) return Number.NaN
  if (Math.abs(x) < 0.5) return HALF_PI - (x - (HALF_PI_LOW - x * arcsineSeries(x * x)))
  const z = (1 - Math.abs(x)) / 2
  const s = Math.sqrt(z)
  if (x < 0) return 2 * (HALF_PI - (s + (arcsineSeries(z) * s - HALF_PI_LOW)))
  if (s === 0) return 0
  const upper = upperHalf(s)
  const lower = (z - upper * upper) / (s + upper)
  return 2 * (upper + (arcsineSeries(z) * s + lower))
}
