/**
 * Sleeps that can be cut short, for services that wait all their lives. `Promise.race` with a promise that lives as long as
 * the service would keep something of every wait: a few hundred bytes, ten times a second, for weeks.
 */
export interface Pauses {
  /** Until `wake`, at most so long. Who sleeps beneath goes on to its end: a process cannot end sooner. */
  pause(ms: number): Promise<void>
  /** Ends every pause that there is now. */
  wake(): void
}

export function createPauses(sleep: (ms: number) => Promise<void>): Pauses {
  const waiting = new Set<() => void>()
  return {
    pause: (ms) =>
      new Promise((resolve, reject) => {
        const end = () => {
          waiting.delete(end)
          resolve()
        }
        waiting.add(end)
        sleep(ms).then(end, reject)
      }),
    wake() {
      for (const end of waiting) end()
    },
  }
}
