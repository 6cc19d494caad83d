/**
 * A clock that a test moves: who sleeps on it wakes when it has been moved so far, in the order of their waking. Whatever
 * is done at a moment takes real time and none of the clock's.
 */
export interface FastTime {
  now(): number
  sleep(ms: number): Promise<void>
  /** Straight to that moment: a loop that has slept through several rounds wakes once. */
  moveTo(moment: number): void
  move(ms: number): void
  /** Everybody who sleeps wakes at once, now and from here on, for the end of a test. */
  release(): void
}

export function createFastTime(start: number): FastTime {
  let now = start
  let released = false
  let sleepers: { until: number; wake: () => void }[] = []

  function moveTo(moment: number): void {
    if (moment < now) throw new RangeError(`time does not go back: it is ${now}, and was to be ${moment}`)
    now = moment
    const due = sleepers.filter(({ until }) => released || until <= now).sort((one, other) => one.until - other.until)
    sleepers = sleepers.filter((sleeper) => !due.includes(sleeper))
    for (const { wake } of due) wake()
  }

  return {
    now: () => now,
    sleep: (ms) =>
      new Promise((resolve) => {
        if (released) setImmediate(resolve)
        else sleepers.push({ until: now + ms, wake: resolve })
      }),
    moveTo,
    move: (ms) => moveTo(now + ms),
    release() {
      released = true
      moveTo(now)
    },
  }
}
