/** Taken before a host guards it: strategies may not ask for the present moment, and the guard costs a microsecond. */
const OwnDate = Date

let lastMs = Number.NaN
let lastText = ''

/** ISO 8601, UTC, with milliseconds. Asked again and again for one tick's time. */
export function iso(ms: number): string {
  if (ms !== lastMs) {
    lastText = new OwnDate(ms).toISOString()
    lastMs = ms
  }
  return lastText
}
