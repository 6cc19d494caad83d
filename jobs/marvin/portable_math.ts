/**
 * Exponentials, logarithms and what is made of them, with the same bits on every runtime: the language leaves the last
 * bits of Math.exp and its kin to the engine, and engines differ. Only + - * / and square roots, which are exact
 * everywhere. Error below one unit in the last place.
 *
 * After fdlibm: Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro, a Sun
 * Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is freely granted, provided
 * that this notice is preserved.
 */
import { fromWords, highWord, lowWord, powerOfTwo, scaled, upperHalf, withHighWord } from './float_bits.ts'

const LN2 = Math.LN2
const LN2_HIGH = 0.6931471803691238
const LN2_LOW = 1.9082149292705877e-10
const INVERSE_LN2 = Math.LOG2E
const EXP_OVERFLOWS = 709.782712893384
const EXP_VANISHES = -745.1332191019411
/** Above this the hyperbolic functions overflow. */
const HYPERBOLIC_OVERFLOWS = 710.4758600739439
const HUGE = 2 ** 28
const TINY = 2 ** -28

/** How often ln 2 goes into x, to the nearest; x is beyond half of it. */
function multiplesOfLn2(x: number): number {
  if (Math.abs(x) < 1.5 * LN2) return x > 0 ? 1 : -1
  return Math.trunc(INVERSE_LN2 * x + (x > 0 ? 0.5 : -0.5))
}

export function exp(x: number): number {
  if (Number.isNaN(x) || x > EXP_OVERFLOWS) return x > 0 ? Number.POSITIVE_INFINITY : Number.NaN
  if (x < EXP_VANISHES) return 0
  if (x === 1) return Math.E
  if (Math.abs(x) < TINY) return 1 + x
  const k = Math.abs(x) > 0.5 * LN2 ? multiplesOfLn2(x) : 0
  const high = x - k * LN2_HIGH
  const low = k * LN2_LOW
  const r = high - low
  const t = r * r
  const c =
    r -
    t *
      (0.16666666666666602 +
        t *
          (-0.0027777777777015593 +
            t * (6.613756321437934e-5 + t * (-1.6533902205465252e-6 + t * 4.1381367970572385e-8))))
  if (k === 0) return 1 - ((r * c) / (c - 2) - r)
  return scaled(1 - (low - (r * c) / (2 - c) - high), k)
}

export function expm1(x: number): number {
  if (Number.isNaN(x) || x > EXP_OVERFLOWS) return x > 0 ? Number.POSITIVE_INFINITY : Number.NaN
  if (x < -56 * LN2) return -1
  if (Math.abs(x) < 2 ** -54) return x
  const k = Math.abs(x) > 0.5 * LN2 ? multiplesOfLn2(x) : 0
  const high = x - k * LN2_HIGH
  const low = k * LN2_LOW
  const r = high - low
  const lost = high - r - low
  const half = 0.5 * r
  const square = r * half
  const series =
    1 +
    square *
      (-0.03333333333333313 +
        square *
          (0.0015873015872548146 +
            square * (-7.93650757867488e-5 + square * (4.008217827329362e-6 + square * -2.0109921818362437e-7))))
  const t = 3 - series * half
  const e = square * ((series - t) / (6 - r * t))
  if (k === 0) return r - (r * e - square)
  return expm1Scaled(r, r * (e - lost) - lost - square, k)
}

function expm1Scaled(r: number, e: number, k: number): number {
  if (k === -1) return 0.5 * (r - e) - 0.5
  if (k === 1) return r < -0.25 ? -2 * (e - (r + 0.5)) : 1 + 2 * (r - e)
  if (k <= -2 || k > 56) return scaled(1 - (e - r), k) - 1
  if (k < 20) return (1 - powerOfTwo(-k) - (e - r)) * powerOfTwo(k)
  return (r - (e + powerOfTwo(-k)) + 1) * powerOfTwo(k)
}

/** x as (1 + f) times 2 to the power k, with 1 + f between sqrt(2) / 2 and sqrt(2). x is above zero and finite. */
function reduced(x: number): { k: number; f: number } {
  const normal = x < 2 ** -1022 ? x * 2 ** 54 : x
  const high = highWord(normal)
  const fraction = high & 0xfffff
  const carry = (fraction + 0x95f64) & 0x100000
  const f = withHighWord(normal, fraction | (carry ^ 0x3ff00000)) - 1
  return { k: (high >> 20) - 1023 + (carry >> 20) - (normal === x ? 0 : 54), f }
}

/** The series of log(1 + f) beyond f - f * f / 2, for f of `reduced`. */
function logSeries(s: number): number {
  const z = s * s
  const w = z * z
  const even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373))
  const odd = z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)))
  return odd + even
}

/** What a logarithm of any base is where there is no number to compute. */
function logOfSpecial(x: number): number | null {
  if (x === 0) return Number.NEGATIVE_INFINITY
  if (Number.isNaN(x) || x < 0) return Number.NaN
  return x === Number.POSITIVE_INFINITY ? x : null
}

export function log(x: number): number {
  const special = logOfSpecial(x)
  if (special !== null) return special
  const { k, f } = reduced(x)
  if (f === 0) return k * LN2_HIGH + k * LN2_LOW
  const s = f / (2 + f)
  const half = 0.5 * f * f
  const rest = s * (half + logSeries(s))
  return k === 0 ? f - (half - rest) : k * LN2_HIGH - (half - (rest + k * LN2_LOW) - f)
}

/** log(1 + f) in two parts, the upper one short enough to be multiplied exactly. */
function logInParts(f: number): { high: number; low: number } {
  const s = f / (2 + f)
  const half = 0.5 * f * f
  const high = upperHalf(f - half)
  return { high, low: f - high - half + s * (half + logSeries(s)) }
}

export function log2(x: number): number {
  const special = logOfSpecial(x)
  if (special !== null) return special
  const { k, f } = reduced(x)
  const { high, low } = logInParts(f)
  const upper = high * 1.4426950407214463
  const lower = (low + high) * 1.6751713164886512e-10 + low * 1.4426950407214463
  const sum = k + upper
  return lower + (k - sum + upper) + sum
}

export function log10(x: number): number {
  const special = logOfSpecial(x)
  if (special !== null) return special
  const { k, f } = reduced(x)
  const { high, low } = logInParts(f)
  const whole = k * 0.30102999566361177
  const upper = high * 0.4342944818781689
  const lower = k * 3.694239077158931e-13 + (low + high) * 2.5082946711645275e-11 + low * 0.4342944818781689
  const sum = whole + upper
  return lower + (whole - sum + upper) + sum
}

export function log1p(x: number): number {
  const special = logOfSpecial(1 + x)
  if (special !== null) return special
  if (Math.abs(x) < 2 ** -54) return x
  const u = 1 + x
  const { k, f } = x > -0.2929 && x < 0.41422 ? { k: 0, f: x } : reduced(u)
  // What 1 + x lost by rounding, as a part of it.
  const lost = k === 0 && f === x ? 0 : (x < 1 ? x - (u - 1) : 1 - (u - x)) / u
  const s = f / (2 + f)
  const half = 0.5 * f * f
  const rest = s * (half + logSeries(s))
  return k === 0 ? f - (half - rest) + lost : k * LN2_HIGH - (half - (rest + (k * LN2_LOW + lost)) - f)
}

export function cbrt(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x
  const size = Math.abs(x)
  const small = size < 2 ** -1022
  const high = small ? Math.trunc(highWord(size * 2 ** 54) / 3) + 696219795 : Math.trunc(highWord(size) / 3) + 715094163
  const guess = fromWords(high, 0)
  const r = guess * guess * (guess / size)
  const better =
    guess *
    (1.87595182427177 +
      r * (-1.8849797954337717 + r * 1.6214297201053545) +
      r * r * r * (-0.758397934778766 + r * 0.14599619288661245))
  // To 23 bits, so that its square is exact.
  const low = lowWord(better) >>> 0
  const t = fromWords(highWord(better) + (low >= 0x80000000 ? 1 : 0), (low ^ 0x80000000) & 0xc0000000)
  const quotient = size / (t * t)
  const root = t + t * ((quotient - t) / (t + t + quotient))
  return x < 0 ? -root : root
}

/** Carries the sign of x, also that of -0. */
const signed = (x: number, size: number): number => (x < 0 || Object.is(x, -0) ? -size : size)

export function sinh(x: number): number {
  const size = Math.abs(x)
  if (size < TINY || !Number.isFinite(x)) return x
  const half = x < 0 ? -0.5 : 0.5
  if (size < 22) {
    const t = expm1(size)
    return size < 1 ? half * (2 * t - (t * t) / (t + 1)) : half * (t + t / (t + 1))
  }
  if (size < EXP_OVERFLOWS) return half * exp(size)
  if (size > HYPERBOLIC_OVERFLOWS) return signed(x, Number.POSITIVE_INFINITY)
  const root = exp(0.5 * size)
  return half * root * root
}

export function cosh(x: number): number {
  const size = Math.abs(x)
  if (Number.isNaN(x)) return x
  if (size < 0.5 * LN2) {
    const t = expm1(size)
    return 1 + (t * t) / (2 * (1 + t))
  }
  if (size < 22) {
    const t = exp(size)
    return 0.5 * t + 0.5 / t
  }
  if (size < EXP_OVERFLOWS) return 0.5 * exp(size)
  if (size > HYPERBOLIC_OVERFLOWS) return Number.POSITIVE_INFINITY
  const root = exp(0.5 * size)
  return 0.5 * root * root
}

export function tanh(x: number): number {
  const size = Math.abs(x)
  if (size < TINY || Number.isNaN(x)) return x
  if (size >= 22) return signed(x, 1)
  if (size >= 1) return signed(x, 1 - 2 / (expm1(2 * size) + 2))
  const t = expm1(-2 * size)
  return signed(x, -t / (t + 2))
}

export function asinh(x: number): number {
  const size = Math.abs(x)
  if (size < TINY || !Number.isFinite(x)) return x
  if (size > HUGE) return signed(x, log(size) + LN2)
  if (size > 2) return signed(x, log(2 * size + 1 / (Math.sqrt(x * x + 1) + size)))
  const square = x * x
  return signed(x, log1p(size + square / (1 + Math.sqrt(1 + square))))
}

export function acosh(x: number): number {
  if (!(x >= 1)) return Number.NaN
  if (x > HUGE) return log(x) + LN2
  if (x > 2) return log(2 * x - 1 / (x + Math.sqrt(x * x - 1)))
  const t = x - 1
  return log1p(t + Math.sqrt(2 * t + t * t))
}

export function atanh(x: number): number {
  const size = Math.abs(x)
  if (!(size <= 1)) return Number.NaN
  if (size < TINY) return x
  const twice = size + size
  return signed(x, 0.5 * log1p(size < 0.5 ? twice + (twice * size) / (1 - size) : twice / (1 - size)))
}
