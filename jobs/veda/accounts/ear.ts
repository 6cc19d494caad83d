/** What hears an account's stream of order updates: whether it is up, and each update recorded in the order it came. */
import type { AccountName } from '../../../db/walle/queries/accounts.ts'
import type { OrderPlace } from '../../../db/walle/queries/live_orders.ts'
import type { TradedSymbol } from '../../../db/walle/queries/market.ts'
import type { Live } from '../../live/live.ts'
import type { MarketNews } from '../marks.ts'
import { askVenue } from '../orders/asking.ts'
import type { OrderReport } from '../reports.ts'
import type { StreamHandlers, Venue, VenueStream } from '../venue.ts'
import type { ApplyReport } from './check.ts'

/** Updates that wait to be recorded. Those beyond are left to the next reconciliation. */
const MOST_WAITING = 10_000

export interface EarOptions {
  live: Live
  apply: ApplyReport
  name: AccountName
  wake: () => void
}

/** A clock that was set back has moved as well: what was to be done after a while is done now. */
export const apart = (one: number, other: number): number => Math.abs(one - other)

export class Ear {
  private readonly options: EarOptions
  private stream: VenueStream | null = null
  private isWanted = true
  /** What the open stream was asked for. */
  private wish = ''
  private watched: ReadonlySet<string> = new Set()
  private isUp = false
  private why = 'it was never up'
  private changedAt: number | null = null
  private heardAt: number
  private news = false
  private stir = false
  private waiting = 0
  /** Of the stream that is open: what a closed one still says is not heard. */
  private generation = 0
  private recorded: Promise<void> = Promise.resolve()

  constructor(options: EarOptions) {
    this.options = options
    this.heardAt = options.live.now()
  }

  /** Opens the stream unless it is open; a venue that has none is polled. */
  listen(venue: Venue): void {
    if (this.stream !== null || !this.isWanted) return
    this.generation += 1
    const mine = this.generation
    this.stream = venue.features.orderStream ? venue.stream(this.handlers(venue, () => mine === this.generation)) : null
    this.wish = ''
    this.watched = new Set()
    this.isWanted = this.stream !== null
  }

  /** The symbols whose bars are to be pushed; of those that are held, quotes and trades besides where they are followed. */
  watch(traded: readonly TradedSymbol[]): void {
    const symbols = traded.map(({ symbol }) => symbol)
    const held = traded.filter((one) => one.held).map(({ symbol }) => symbol)
    const follows = this.options.live.market?.follows ?? 'bars'
    const [quotes, trades] = [follows === 'bars' ? [] : held, follows === 'trades' ? held : []]
    const wish = JSON.stringify([symbols, quotes, trades].map((list) => [...list].sort()))
    if (this.stream === null || wish === this.wish) return
    this.wish = wish
    this.watched = new Set(symbols)
    this.stream.watch(symbols, { quotes, trades })
  }

  wanted(): boolean {
    return this.isWanted
  }

  up(): boolean {
    return this.isUp
  }

  reason(): string {
    return this.why
  }

  /** Down for so long; never up counts from `since`. */
  downFor(ms: number, since: number): boolean {
    return !this.isUp && apart(this.options.live.now(), this.changedAt ?? since) >= ms
  }

  silentFor(ms: number): boolean {
    return apart(this.options.live.now(), this.heardAt) >= ms
  }

  /** It came up anew, or an update could not be recorded: the venue is to be asked. Says so once. */
  takeNews(): boolean {
    const had = this.news
    this.news = false
    return had
  }

  /** It told of orders that are not ours: positions changed, or will. Says so once. */
  takeStir(): boolean {
    const had = this.stir
    this.stir = false
    return had
  }

  async reopen(why: string): Promise<void> {
    const { live, name, wake } = this.options
    live.log('warn', { account: labelOf(name), reason: why }, 'the stream of order updates is opened anew')
    await this.closeStream(why)
    wake()
  }

  /** Waits until what was heard is recorded. */
  async close(): Promise<void> {
    await this.closeStream('it is closed')
    await this.recorded
  }

  private handlers(venue: Venue, current: () => boolean): StreamHandlers {
    const { live, name, wake } = this.options
    const hearMarket = (news: MarketNews) => {
      if (current() && this.watched.has(news.symbol)) live.market?.heard(venue, news)
    }
    return {
      onOrder: (order, execution) => {
        if (current()) this.hear(venue, { order, execution })
      },
      onBar: (bar) => hearMarket({ kind: 'bar', ...bar }),
      onQuote: (quote) => hearMarket({ kind: 'quote', ...quote }),
      onTrade: (trade) => hearMarket({ kind: 'trade', ...trade }),
      onState: ({ up, reason }) => {
        if (!current()) return
        this.heardAt = live.now()
        if (this.isUp !== up) this.changedAt = this.heardAt
        this.isUp = up
        this.why = reason
        if (up) this.news = true
        const told = { account: labelOf(name), reason }
        live.log(up ? 'info' : 'warn', told, `stream of order updates ${up ? 'up' : 'down'}`)
        wake()
      },
    }
  }

  private hear(venue: Venue, report: OrderReport): void {
    this.heardAt = this.options.live.now()
    if (this.waiting >= MOST_WAITING) {
      this.news = true
      return
    }
    this.waiting += 1
    this.recorded = this.recorded
      .then(() => this.take(venue, report))
      .finally(() => {
        this.waiting -= 1
      })
  }

  private async take(venue: Venue, report: OrderReport): Promise<void> {
    const { live, apply, name, wake } = this.options
    try {
      const told = await apply({ ...name, source: 'stream', ...report })
      if (told.kind === 'foreign') this.stir = true
      else if (told.gap) await this.fillGap(venue, told.order)
    } catch (error) {
      this.news = true
      const told = { err: error, account: labelOf(name) }
      live.log('warn', told, 'an update of an order is left to the next reconciliation')
    }
    if (this.news || this.stir) wake()
  }

  /** Something was missed before this update: the order as it is now tells it. */
  private async fillGap(venue: Venue, { order_id }: OrderPlace): Promise<void> {
    const { live, apply, name } = this.options
    const whole = await askVenue(live.db.reader, venue, order_id, live.now())
    const told = whole === null ? null : await apply({ ...name, source: 'poll', ...whole })
    // What took an order's place may not be there to be asked for yet.
    if (told === null || told.kind === 'foreign' || told.gap) this.news = true
  }

  private async closeStream(why: string): Promise<void> {
    const { live, name } = this.options
    const open = this.stream
    this.generation += 1
    this.stream = null
    if (this.isUp) this.changedAt = live.now()
    this.isUp = false
    this.why = why
    await open
      ?.close()
      .catch((error: unknown) => live.log('warn', { err: error, account: labelOf(name) }, 'closing a stream'))
  }
}

const labelOf = ({ exchange, mode }: AccountName) => `${exchange} ${mode}`
