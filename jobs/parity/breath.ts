/** A replay works in the process that ticks and sends: after a few milliseconds of it the others have their turn. */
export type Breath = () => Promise<void> | null

/** At most so long nobody else has a turn. */
const WORK_MS = 5

/** Null: there is time left. */
export function createBreath({ monotonic, pause }: { monotonic: () => number; pause: () => Promise<void> }): Breath {
  let began = monotonic()
  return () => {
    if (monotonic() - began < WORK_MS) return null
    return pause().then(() => {
      began = monotonic()
    })
  }
}
