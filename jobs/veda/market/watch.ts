/**
 * What venues' streams tell of the market, kept for people: marks (what a position is worth now), and a sample of it in the
 * log. Beside the way of orders, never in it: who hears something goes on at once, and what cannot be written in time is
 * overtaken by what is newer, or left out and counted.
 */
import type { NewEvent } from '../../../db/events/envelope.ts'
import type { Throttle } from '../../../db/events/throttle.ts'
import type { MarketMarkRow } from '../../../db/walle/market_rows.ts'
import type { AccountName } from '../../../db/walle/queries/accounts.ts'
import { listMarketMarks } from '../../../db/walle/queries/market.ts'
import { createLossWatch, type LossWatch } from '../../glados/halts/losses.ts'
import { plain } from '../../greta/decimals.ts'
import type { Live, LiveMarket } from '../../live/live.ts'
import { hasNews, hear, newSample, type Sample, take } from '../market_sample.ts'
import { isSound, type Mark, type MarketNews, momentOf } from '../marks.ts'

/** Of an account, marks are written and limits on losses looked at, at most so often. */
export const MARK_EVERY_MS = 1_000

export interface MarketWatchOptions extends Pick<Live, 'db' | 'record' | 'venues' | 'now' | 'newId' | 'sleep' | 'log'> {
  follows: LiveMarket['follows']
  /** While it holds others back, nothing of the market goes into the log. */
  throttle: Throttle
}

export interface MarketWatch extends LiveMarket {
  /** Waits for what is being written; what was heard since is let go. */
  stop(): Promise<void>
}

export function createMarketWatch(options: MarketWatchOptions): MarketWatch {
  const accounts = new Map<string, AccountMarket>()
  const losses = createLossWatch(options)
  return {
    follows: options.follows,
    heard({ exchange, mode }, news) {
      if (!isSound(news, options.now())) return
      const key = `${exchange} ${mode}`
      const account = accounts.get(key) ?? new AccountMarket(options, { exchange, mode }, losses)
      accounts.set(key, account)
      account.hear(news)
    },
    async stop() {
      await Promise.all([...accounts.values()].map((account) => account.stop()))
    },
  }
}

interface Followed {
  symbol: string
  sample: Sample
  /** As it was last written. */
  written: Mark | null
}

/** What is about to be written of a symbol. */
interface Taken {
  one: Followed
  mark: Mark | null
  news: MarketNews[]
}

class AccountMarket {
  private readonly options: MarketWatchOptions
  private readonly name: AccountName
  private readonly losses: LossWatch
  private readonly followed = new Map<string, Followed>()
  private writtenAt = Number.NEGATIVE_INFINITY
  private isPumping = false
  private isStopped = false
  private isFailing = false
  private writing: Promise<void> = Promise.resolve()

  constructor(options: MarketWatchOptions, name: AccountName, losses: LossWatch) {
    this.options = options
    this.name = name
    this.losses = losses
  }

  hear(news: MarketNews): void {
    if (this.isStopped) return
    const { symbol } = news
    const one = this.followed.get(symbol) ?? { symbol, sample: newSample(), written: null }
    this.followed.set(symbol, one)
    hear(one.sample, news)
    if (!this.isPumping) void this.pump()
  }

  async stop(): Promise<void> {
    this.isStopped = true
    await this.writing
  }

  /** Until there is nothing to write. */
  private async pump(): Promise<void> {
    const { now, sleep } = this.options
    this.isPumping = true
    // What comes in one message is heard before the first of it is written.
    await Promise.resolve()
    while (!this.isStopped && this.due().length > 0) {
      // Also where the clock was set back since.
      const wait = Math.min(MARK_EVERY_MS, this.writtenAt + MARK_EVERY_MS - now())
      if (wait > 0) await sleep(wait)
      if (this.isStopped) break
      this.writtenAt = now()
      this.writing = this.write()
      await this.writing
    }
    this.isPumping = false
  }

  private due(): Followed[] {
    const now = this.options.now()
    return [...this.followed.values()].filter(({ sample, written }) => sample.mark !== written || hasNews(sample, now))
  }

  private async write(): Promise<void> {
    const { now, log } = this.options
    const taken = this.due().map((one) => ({ one, mark: one.sample.mark, news: take(one.sample, now()) }))
    try {
      const moved = taken.filter(({ one, mark }) => mark !== one.written).map(({ one }) => one.symbol)
      await this.store(taken)
      this.isFailing = false
      if (moved.length > 0) await this.losses.check(this.name, this.marks(), moved)
    } catch (error) {
      // A mark that is not written is due again; of the rest it is only counted that it was.
      const fields = { err: error, exchange: this.name.exchange, mode: this.name.mode }
      if (!this.isFailing) log('warn', fields, 'what the market says cannot be written: the newest is tried again')
      this.isFailing = true
    }
  }

  private async store(taken: readonly Taken[]): Promise<void> {
    const { db, record, throttle } = this.options
    for (const { one, news } of taken) one.sample.dropped += news.length
    const known = await listMarketMarks(db.reader, this.name.exchange, this.name.mode)
    const bars = new Map(known.map(({ symbol, bar_time: time }) => [symbol, time === null ? null : Date.parse(time)]))
    const isBehind = (await throttle()) !== null
    const told = taken.map(({ one, mark, news }) => {
      // Whoever kept the account before may have told of it.
      const fresh = news.filter((each) => isUntold(each, bars.get(each.symbol) ?? null))
      const dropped = one.sample.dropped - news.length + (isBehind ? fresh.length : 0)
      return { one, mark, fresh: isBehind ? [] : fresh, dropped }
    })
    const rows = told.flatMap(({ one, mark, fresh, dropped }) => (mark ? [this.rowOf(one, mark, fresh, dropped)] : []))
    const events = told.flatMap(({ fresh }) => fresh.map((news) => this.eventOf(news)))
    await db.write((tx) => record(tx, { writes: [{ kind: 'save_market_marks', rows }], events }))
    for (const { one, mark } of told) {
      one.written = mark
      one.sample.dropped = 0
    }
  }

  private marks(): Map<string, Mark> {
    return new Map([...this.followed.values()].flatMap(({ symbol, written }) => (written ? [[symbol, written]] : [])))
  }

  private rowOf({ symbol }: Followed, mark: Mark, told: readonly MarketNews[], dropped: number): MarketMarkRow {
    const times = told.flatMap((news) => (news.kind === 'bar' ? [news.time] : []))
    return {
      ...this.name,
      symbol,
      price: mark.price,
      source: mark.source,
      marked_at: iso(mark.at),
      bar_time: times.length === 0 ? null : iso(Math.max(...times)),
      dropped,
    }
  }

  private eventOf(news: MarketNews): NewEvent {
    const id = this.options.newId()
    const told = { ...this.name, symbol: news.symbol, at: iso(momentOf(news)) }
    return {
      ...{ id, run_id: null, corr_id: id, causation_id: null, ts: iso(this.options.now()), producer: 'veda' },
      ...bodyOf(told, news),
    } as NewEvent
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

function isUntold(news: MarketNews, newestBar: number | null): boolean {
  return news.kind !== 'bar' || news.revised || newestBar === null || news.time > newestBar
}

function bodyOf(
  told: AccountName & { symbol: string; at: string },
  news: MarketNews,
): Pick<NewEvent, 'type' | 'payload'> {
  switch (news.kind) {
    case 'bar': {
      const { timeframe, time, open, high, low, close, volume, revised } = news
      const prices = {
        open: plain(open),
        high: plain(high),
        low: plain(low),
        close: plain(close),
        volume: plain(volume),
      }
      return { type: 'market.Bar', payload: { ...told, timeframe, timestamp: iso(time), ...prices, revised } }
    }
    case 'quote':
      return { type: 'market.Quote', payload: { ...told, bid: plain(news.bid), ask: plain(news.ask) } }
    case 'trade':
      return { type: 'market.Trade', payload: { ...told, price: plain(news.price), size: plain(news.size) } }
  }
}
