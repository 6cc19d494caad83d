import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for a condition; fails when it has not come true in time. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | null | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs
  for (;;) {
    const result = await condition()
    if (result !== null && result !== undefined && result !== false) return result
    if (Date.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`)
    await sleep(20)
  }
}

/** Lets things happen in another order; never to wait for something. */
export async function pause(ms: number): Promise<void> {
  await sleep(ms)
}
