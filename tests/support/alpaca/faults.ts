/** What goes wrong between the venue and its caller, one request at a time, as a test writes it down. */

/**
 * `accept_then_…`: the venue does what it was asked, and this is what its caller hears of it. The others: it never did.
 * `hang`: no answer at all. `reset`: the line breaks. `cut`: the answer ends in its middle.
 */
export type Fault =
  | 'accept_then_504'
  | 'accept_then_500'
  | 'accept_then_hang'
  | 'accept_then_reset'
  | 'accept_then_cut'
  | '504'
  | '500'
  | '503_html'
  | '429'
  | 'hang'
  | 'reset'
  | { status: number; body: unknown }

export type Method = 'GET' | 'POST' | 'DELETE' | 'PATCH'

interface Planned {
  method: Method
  path: RegExp
  fault: Fault
}

export interface Faults {
  /** The next requests of this method and path, one each. A path is a prefix or a pattern. */
  next(method: Method, path: string | RegExp, ...faults: Fault[]): void
  /** The next request of this method and path reaches the venue, and is answered, not before these are settled. */
  delay(method: Method, path: string, until: Delay): void
  delayOf(method: string, path: string): Delay
  /** All requests of the next `count`, whatever they ask for, get 429. */
  rateLimit(count: number): void
  take(method: string, path: string): Fault | null
  clear(): void
}

export interface Delay {
  arrives?: Promise<unknown>
  answers?: Promise<unknown>
}

export function createFaults(): Faults {
  let planned: Planned[] = []
  let delays: { method: Method; path: string; until: Delay }[] = []
  let limited = 0
  return {
    next(method, path, ...faults) {
      const pattern =
        typeof path === 'string' ? new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`) : path
      planned.push(...faults.map((fault) => ({ method, path: pattern, fault })))
    },
    delay: (method, path, until) => void delays.push({ method, path, until }),
    delayOf(method, path) {
      const index = delays.findIndex((one) => one.method === method && one.path === path)
      return index < 0 ? {} : (delays.splice(index, 1)[0]?.until ?? {})
    },
    rateLimit(count) {
      limited = count
    },
    take(method, path) {
      if (limited > 0) {
        limited -= 1
        return '429'
      }
      const index = planned.findIndex((one) => one.method === method && one.path.test(path))
      return index < 0 ? null : (planned.splice(index, 1)[0]?.fault ?? null)
    },
    clear() {
      planned = []
      delays = []
      limited = 0
    },
  }
}
