/** Up to which alert a person has looked, in this browser. */
const KEY = 'haro.alerts'

class SeenAlerts {
  upTo = $state(read())

  /** ISO 8601, of the newest one that is shown. */
  see(at: string) {
    if (at <= this.upTo) return
    this.upTo = at
    try {
      localStorage.setItem(KEY, at)
    } catch {
      // Storage may be blocked; they count as new again when the page is opened anew.
    }
  }
}

function read(): string {
  try {
    return localStorage.getItem(KEY) ?? ''
  } catch {
    return ''
  }
}

export const seenAlerts = new SeenAlerts()
