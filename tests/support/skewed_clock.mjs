/** Preloaded into a process whose wall clock is to be wrong: CHAOS_SKEW_MS milliseconds off. */
const skew = Number(process.env.CHAOS_SKEW_MS ?? '0')
const RealDate = Date

globalThis.Date = class SkewedDate extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + skew)
    else super(...given)
  }

  static now() {
    return RealDate.now() + skew
  }
}
