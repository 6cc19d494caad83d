/** Days as moments: 00:00 UTC of a date, epoch milliseconds. */
export const DAY_MS = 86_400_000

/** Start of the UTC day that holds `time`. */
export function dayOf(time: number): number {
  return Math.floor(time / DAY_MS) * DAY_MS
}

export function dateText(day: number): string {
  return new Date(day).toISOString().slice(0, 10)
}
