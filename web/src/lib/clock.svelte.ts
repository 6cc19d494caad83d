/** The page's idea of now, refreshed often enough for "2 minutes ago" and a progress bar's time left. */
const STEP_MS = 5_000

class Clock {
  now = $state(Date.now())
}

export const clock = new Clock()

export function runClock(): () => void {
  const timer = setInterval(() => {
    clock.now = Date.now()
  }, STEP_MS)
  return () => clearInterval(timer)
}
