/** What a fill costs: commission by numbers of the fill model, or by a venue's published schedule. */
import { tradesAroundTheClock } from '../../db/walle/calendar/calendar.ts'
import { DAY_MS } from '../../db/walle/calendar/days.ts'
import { QTY_PLACES } from '../marvin/intents.ts'
import { BASIS_POINT, Decimal, ZERO } from './decimals.ts'
import type { FillModel } from './fill_model.ts'

export interface CostedFill {
  symbol: string
  side: 'buy' | 'sell'
  qty: Decimal
  price: Decimal
  /** It lay in the book before its price came: it made the market that others took. */
  maker: boolean
  /** Open time of its bar. */
  time: number
}

export interface Cost {
  /** All of it, in the quote currency. */
  fee: Decimal
  /** The part of the quantity that was kept as the fee instead of being paid in cash. */
  feeQty: Decimal
}

/** Notional that was traded on a UTC day (days since 1970), newest last. JSON, for a checkpoint. */
export type DailyVolume = [day: number, notional: string][]

interface Tier {
  /** Volume from which on it holds, in the quote currency. */
  from: number
  makerBps: string
  takerBps: string
}

/**
 * Alpaca's crypto fees by volume of the last 30 days, in force since 2023-03-13, read in November 2026 from
 * https://docs.alpaca.markets/docs/crypto-fees and https://alpaca.markets/support/crypto-maker-taker-gmt-faq.
 * A fee is charged in what the trade credits: the coin of a buy, the money of a sale. A new tier holds from the next
 * day on.
 */
export const ALPACA_CRYPTO_TIERS: readonly Tier[] = [
  { from: 0, makerBps: '15', takerBps: '25' },
  { from: 100_000, makerBps: '12', takerBps: '22' },
  { from: 500_000, makerBps: '10', takerBps: '20' },
  { from: 1_000_000, makerBps: '8', takerBps: '18' },
  { from: 10_000_000, makerBps: '5', takerBps: '15' },
  { from: 25_000_000, makerBps: '2', takerBps: '13' },
  { from: 50_000_000, makerBps: '2', takerBps: '12' },
  { from: 100_000_000, makerBps: '0', takerBps: '10' },
]
/** Full days whose volume decides the tier of a fill. */
const VOLUME_DAYS = 30

const HALF_EVEN = 2

export function costOf(model: FillModel, fill: CostedFill, volume: DailyVolume): Cost {
  if (model.commission !== 'alpaca_crypto') return { fee: commissionOf(model, fill.qty, fill.price), feeQty: ZERO }
  if (!tradesAroundTheClock(fill.symbol)) return { fee: ZERO, feeQty: ZERO }
  const rate = new Decimal(feeBps(volume, fill)).times(BASIS_POINT)
  if (fill.side === 'sell') return { fee: fill.qty.times(fill.price).times(rate), feeQty: ZERO }
  const feeQty = fill.qty.times(rate).round(QTY_PLACES, HALF_EVEN)
  return { fee: feeQty.times(fill.price), feeQty }
}

/** Takes a fill into the volume that later days' tiers are chosen by. Changes `volume` in place. */
export function addVolume(model: FillModel, fill: CostedFill, volume: DailyVolume): void {
  if (model.commission !== 'alpaca_crypto' || !tradesAroundTheClock(fill.symbol)) return
  const today = dayNumber(fill.time)
  const notional = fill.qty.times(fill.price)
  const newest = volume.at(-1)
  if (newest?.[0] === today) newest[1] = notional.plus(newest[1]).toString()
  else volume.push([today, notional.toString()])
  while ((volume[0]?.[0] ?? today) < today - VOLUME_DAYS) volume.shift()
}

function feeBps(volume: DailyVolume, { time, maker }: CostedFill): string {
  const today = dayNumber(time)
  let traded = ZERO
  for (const [day, notional] of volume) if (day < today && day >= today - VOLUME_DAYS) traded = traded.plus(notional)
  const tier = ALPACA_CRYPTO_TIERS.findLast(({ from }) => traded.gte(from)) as Tier
  return maker ? tier.makerBps : tier.takerBps
}

function dayNumber(time: number): number {
  return Math.floor(time / DAY_MS)
}

/** `commission_bps` of the notional plus `commission_per_share` a unit, at least `commission_min` where that is set. */
function commissionOf(model: FillModel, qty: Decimal, price: Decimal): Decimal {
  const fee = qty
    .times(price)
    .times(model.commission_bps)
    .times(BASIS_POINT)
    .plus(qty.times(model.commission_per_share))
  const least = new Decimal(model.commission_min)
  return least.gt(ZERO) && fee.lt(least) ? least : fee
}
