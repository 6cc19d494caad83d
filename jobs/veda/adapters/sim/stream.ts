/**
 * The simulator's stream: looks at the book a few times a second, which also moves the market for orders that nobody asks
 * about, and tells what is new. With faults it loses, doubles, delays and swaps updates, and is cut.
 */
import { DatabaseUnavailable } from '../../../../db/database.ts'
import { TIMEFRAMES } from '../../../../strategies/api.ts'
import type { StreamHandlers, VenueStream, VenueWorld } from '../../venue.ts'
import type { Exchange, Look, Told } from './exchange.ts'
import { barFaults, type Dice, NO_FAULTS, type SimFaults } from './faults.ts'
import { priceText, REVISED_AFTER_MS } from './market.ts'

const LOOK_EVERY_MS = 200
const SECOND_MS = 1_000
const MINUTE_MS = 60_000
/** Bars that closed while nobody looked, for longer than this, are not told: REST has them. */
const BARS_BACK_MS = 2 * MINUTE_MS

export interface StreamOptions {
  exchange: Exchange
  handlers: StreamHandlers
  world: Pick<VenueWorld, 'now' | 'sleep' | 'log'>
  dice: Dice
}

interface Delivery {
  due: number
  told: Told
}

export function openStream({ exchange, handlers, world, dice }: StreamOptions): VenueStream {
  let symbols: readonly string[] = []
  let quoted: readonly string[] = []
  let open = true
  let waiting: Delivery[] = []

  async function live(): Promise<void> {
    let last = (await exchange.peek()).newest
    const bars = createBarTeller(handlers)
    const quotes = createQuoteTeller(handlers)
    waiting = []
    handlers.onState({ up: true, reason: 'subscribed' })
    while (open) {
      const faults = await exchange.look((look) => {
        bars.see(look, symbols)
        quotes.see(look, quoted)
        return look.faults
      })
      for (const { number, told } of await exchange.told(last)) {
        last = number
        waiting.push(...deliveriesOf(told, faults, world.now(), dice))
      }
      swapSome(waiting, faults, dice)
      deliver()
      bars.tell()
      quotes.tell()
      if (dice(faults.stream_cut)) {
        handlers.onState({ up: false, reason: 'the simulator cut the stream' })
        await world.sleep(faults.cut_ms)
        return
      }
      await world.sleep(LOOK_EVERY_MS)
    }
  }

  function deliver(): void {
    const now = world.now()
    const due = waiting.filter((delivery) => delivery.due <= now)
    waiting = waiting.filter((delivery) => delivery.due > now)
    for (const { told } of due) if (open) handlers.onOrder(told.order, told.execution)
  }

  async function keepAlive(): Promise<void> {
    while (open) {
      try {
        await live()
      } catch (error) {
        if (!open) return
        const level = error instanceof DatabaseUnavailable ? 'warn' : 'error'
        world.log(level, { err: error }, "the simulator's stream starts again")
        handlers.onState({ up: false, reason: error instanceof Error ? error.message : String(error) })
        await world.sleep(NO_FAULTS.cut_ms)
      }
    }
  }

  const running = keepAlive()
  return {
    watch(wanted, ticks) {
      symbols = [...wanted]
      quoted = [...(ticks?.quotes ?? [])]
    },
    async close() {
      open = false
      await running
    },
  }
}

function deliveriesOf(told: Told, faults: SimFaults, now: number, dice: Dice): Delivery[] {
  if (dice(faults.update_dropped)) return []
  const due = dice(faults.update_delayed) ? now + faults.update_delay_ms : now
  return dice(faults.update_doubled)
    ? [
        { due, told },
        { due, told },
      ]
    : [{ due, told }]
}

function swapSome(waiting: Delivery[], faults: SimFaults, dice: Dice): void {
  for (let index = 1; index < waiting.length; index++) {
    if (!dice(faults.update_reordered)) continue
    const [one, other] = [waiting[index - 1] as Delivery, waiting[index] as Delivery]
    waiting[index - 1] = other
    waiting[index] = one
  }
}

/** Tells each closed bar of the watched symbols once, and once more when it was corrected. */
function createBarTeller(handlers: StreamHandlers) {
  const told = new Map<string, number>()
  let toTell: (() => void)[] = []
  return {
    see({ at, market, faults }: Look, symbols: readonly string[]): void {
      for (const symbol of symbols) {
        for (
          let time = Math.floor((at - BARS_BACK_MS) / MINUTE_MS) * MINUTE_MS;
          time + MINUTE_MS <= at;
          time += MINUTE_MS
        ) {
          if (!market(symbol).isOpen(time / 1000)) continue
          const bar = market(symbol).bar('1m', time, at, barFaults(faults))
          if (bar === null) continue
          const key = `${symbol} ${time} ${bar.revised}`
          if (told.has(key) || (bar.revised && at < time + MINUTE_MS + REVISED_AFTER_MS)) continue
          told.set(key, time)
          toTell.push(() => handlers.onBar({ ...bar, symbol, timeframe: TIMEFRAMES[0] }))
        }
      }
      for (const [key, time] of told) if (time < at - 2 * BARS_BACK_MS) told.delete(key)
    },
    tell(): void {
      for (const each of toTell) each()
      toTell = []
    },
  }
}

/** Tells the quote of each second that is looked at. Nobody but us trades here: there are no trades to tell. */
function createQuoteTeller(handlers: StreamHandlers) {
  let second = 0
  let toTell: (() => void)[] = []
  return {
    see({ at, market }: Look, symbols: readonly string[]): void {
      const now = Math.floor(at / SECOND_MS)
      if (now === second) return
      second = now
      toTell = symbols
        .filter((symbol) => market(symbol).isOpen(now))
        .map((symbol) => {
          const { bid, ask } = market(symbol).quote(now)
          return () => handlers.onQuote?.({ symbol, at: now * SECOND_MS, bid: priceText(bid), ask: priceText(ask) })
        })
    },
    tell(): void {
      for (const each of toTell) each()
      toTell = []
    },
  }
}
