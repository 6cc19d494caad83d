/** What hears an account's stream of order updates: whether it is up, and each update recorded in the order it came. */
import type { AccountName } from '../db/walle/queries/accounts.ts'
import type { ApplyReport } from './account_check.ts'
import type { Live } from './live.ts'
import type { OrderReport } from './veda/reports.ts'
import type { StreamHandlers, Venue, VenueStream } from './veda/venue.ts'

/** Updates that wait to be recorded. Those beyond are left to the next reconciliation. */
const MOST_WAITING = 10_000

export interface Ear {
  /** Opens the stream unless it is open; a venue that has none is polled. */
  listen(venue: Venue): void
  /** The symbols whose bars are to be pushed. */
  watch(symbols: readonly string[]): void
  wanted(): boolean
  up(): boolean
  reason(): string
  /** Down for so long; never up counts from `since`. */
  downFor(ms: number, since: number): boolean
  silentFor(ms: number): boolean
  /** It came up anew, or an update could not be recorded: the venue is to be asked. Says so once. */
  takeNews(): boolean
  /** It told of orders that are not ours: positions changed, or will. Says so once. */
  takeStir(): boolean
  reopen(reason: string): Promise<void>
  /** Waits until what was heard is recorded. */
  close(): Promise<void>
}

export interface EarOptions {
  live: Live
  apply: ApplyReport
  name: AccountName
  wake: () => void
}

export function createEar({ live, apply, name, wake }: EarOptions): Ear {
  const { exchange, mode } = name
  const label = `${exchange} ${mode}`
  let stream: VenueStream | null = null
  let wanted = true
  /** The symbols that the open stream was asked for. */
  let watched = ''
  let up = false
  let reason = 'it was never up'
  let changedAt: number | null = null
  let heardAt = live.now()
  let news = false
  let stir = false
  let waiting = 0
  /** Of the stream that is open: what a closed one still says is not heard. */
  let generation = 0
  let recorded: Promise<void> = Promise.resolve()

  function hear(venue: Venue, report: OrderReport): void {
    heardAt = live.now()
    if (waiting >= MOST_WAITING) {
      news = true
      return
    }
    waiting += 1
    recorded = recorded
      .then(() => take(venue, report))
      .finally(() => {
        waiting -= 1
      })
  }

  async function take(venue: Venue, report: OrderReport): Promise<void> {
    try {
      const told = await apply({ exchange, mode, source: 'stream', ...report })
      if (told.kind === 'foreign') stir = true
      else if (told.gap) await fillGap(venue, report)
    } catch (error) {
      news = true
      live.log('warn', { err: error, account: label }, 'an update of an order is left to the next reconciliation')
    }
    if (news || stir) wake()
  }

  /** Something was missed before this update: the order as it is now tells it. */
  async function fillGap(venue: Venue, { order, execution }: OrderReport): Promise<void> {
    const id = order?.client_order_id ?? execution?.client_order_id ?? null
    const whole = id === null ? null : await venue.orderByClientId(id)
    if (whole === null) news = true
    else await apply({ exchange, mode, source: 'poll', order: whole, execution: null })
  }

  function handlersOf(venue: Venue, current: () => boolean): StreamHandlers {
    return {
      onOrder: (order, execution) => {
        if (current()) hear(venue, { order, execution })
      },
      onBar: (bar) => {
        if (current()) live.heardBar?.(venue, bar)
      },
      onState: (state) => {
        if (!current()) return
        heardAt = live.now()
        if (up !== state.up) changedAt = heardAt
        up = state.up
        reason = state.reason
        if (up) news = true
        live.log(up ? 'info' : 'warn', { account: label, reason }, `stream of order updates ${up ? 'up' : 'down'}`)
        wake()
      },
    }
  }

  async function closeStream(why: string): Promise<void> {
    const open = stream
    generation += 1
    stream = null
    if (up) changedAt = live.now()
    up = false
    reason = why
    await open?.close().catch((error: unknown) => live.log('warn', { err: error, account: label }, 'closing a stream'))
  }

  return {
    listen(venue) {
      if (stream !== null || !wanted) return
      generation += 1
      const mine = generation
      const current = () => mine === generation
      const opened = venue.features.orderStream ? venue.stream(handlersOf(venue, current)) : null
      stream = opened
      watched = ''
      wanted = opened !== null
    },
    watch(symbols) {
      const wish = [...symbols].sort().join(' ')
      if (stream === null || wish === watched) return
      watched = wish
      stream.watch(symbols)
    },
    wanted: () => wanted,
    up: () => up,
    reason: () => reason,
    downFor: (ms, since) => !up && live.now() - (changedAt ?? since) >= ms,
    silentFor: (ms) => live.now() - heardAt >= ms,
    takeNews() {
      const had = news
      news = false
      return had
    },
    takeStir() {
      const had = stir
      stir = false
      return had
    },
    async reopen(why) {
      live.log('warn', { account: label, reason: why }, 'the stream of order updates is opened anew')
      await closeStream(why)
      wake()
    },
    async close() {
      await closeStream('it is closed')
      await recorded
    },
  }
}
