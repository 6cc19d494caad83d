/** What a row of a file must be to become a candle, and what is said of those that are not. Pure. */
import Big from 'big.js'
import type { Timeframe } from '../../../strategies/api.ts'
import type { Gaps } from '../calendar/gaps.ts'
import { inspectSeries } from '../calendar/inspect.ts'
import { warningsOf } from '../calendar/warnings.ts'
import type { CandleText } from '../rows.ts'
import { type Adjustment, kindOf } from './adjustment.ts'
import { createTimeReader } from './time_text.ts'

export const HEADER = ['timestamp', 'open', 'high', 'low', 'close', 'volume'] as const
export const LAST_COLUMN = 'trade_count'
/** Further bad rows are only counted. */
export const LISTED_REJECTIONS = 100
const LONGEST_NUMBER = 64
const LARGEST_EXPONENT = 30

export interface ImportOptions {
  symbol: string
  timeframe: Timeframe
  /** IANA name; of timestamps that name no zone. */
  zone: string
  /** With any bad row there are no candles at all. */
  strict?: boolean
  adjustment?: Adjustment | undefined
}

export interface Rejection {
  /** Line in the file; the header is line 1. */
  line: number
  reason: string
}

export interface ImportedCandles {
  candles: CandleText[]
  /** Rows below the header, blank lines aside. */
  read: number
  /** The first of them. */
  rejected: Rejection[]
  rejected_count: number
  /** Between the good rows, by the exchange calendar. */
  gaps: Gaps
  /** What is strange about them, in words: gaps, bars without volume, absurd jumps. They are candles all the same. */
  warnings: string[]
}

/** The file as a whole is none of candles: nothing of it is taken. */
export class BadHeaderError extends Error {
  override name = 'BadHeaderError'
}

/** Throws unless the columns are those of a candle file; tells whether trade counts are among them. */
export function checkHeader(columns: readonly string[]): { width: number } {
  const expected: readonly string[] = columns.length > HEADER.length ? [...HEADER, LAST_COLUMN] : HEADER
  if (columns.length !== expected.length || columns.some((column, i) => column !== expected[i])) {
    const found = columns
      .join(',')
      .slice(0, 200)
      .replace(/\p{C}+/gu, '\uFFFD')
    throw new BadHeaderError(`the header must be ${HEADER.join(',')}[,${LAST_COLUMN}], but it is ${found || 'missing'}`)
  }
  return { width: expected.length }
}

export interface CandleCollector {
  add(line: number, fields: readonly string[]): void
  finish(): ImportedCandles
}

export function collectCandles(options: ImportOptions, width: number): CandleCollector {
  const times = createTimeReader(options.symbol, options.timeframe, options.zone)
  const candles: CandleText[] = []
  const rejected: Rejection[] = []
  let rejectedCount = 0
  let read = 0
  let previous = Number.NEGATIVE_INFINITY

  function candleOf(fields: readonly string[]): CandleText | string {
    const [timestamp = '', open = '', high = '', low = '', close = '', volume = '', count = ''] = fields
    if (fields.length !== width) return `${fields.length} fields instead of ${width}`
    const reading = times.read(timestamp)
    if ('reason' in reading) return reading.reason
    const { time } = reading
    if (time === previous) return `timestamp ${timestamp} is there twice`
    if (time < previous) return `timestamp ${timestamp} is out of order`
    const candle = { time, open, high, low, close, volume, trade_count: count === '' ? null : wholeNumber(count) }
    for (const name of AMOUNTS) {
      const reading = amountOf(name, candle[name])
      if ('reason' in reading) return reading.reason
      candle[name] = reading.text
    }
    if (candle.trade_count === undefined) return `trade_count ${shown(count)} is not a whole number`
    return problemOf(candle) ?? { ...candle, trade_count: candle.trade_count }
  }

  return {
    add(line, fields) {
      read += 1
      const candle = candleOf(fields)
      if (typeof candle !== 'string') {
        candles.push(candle)
        previous = candle.time
        return
      }
      rejectedCount += 1
      if (rejected.length < LISTED_REJECTIONS) rejected.push({ line, reason: candle })
    },
    finish() {
      const kept = options.strict === true && rejectedCount > 0 ? [] : candles
      const { gaps, warnings } = lookAt(candles, options)
      if (times.mixedZones()) warnings.push(`${MIXED_ZONES} ${options.zone}`)
      return { candles: kept, read, rejected, rejected_count: rejectedCount, gaps, warnings }
    },
  }
}

const AMOUNTS = ['open', 'high', 'low', 'close', 'volume'] as const

/** A plain decimal stays as it is written; an exponent is written out. */
function amountOf(name: string, text: string): { text: string } | { reason: string } {
  if (/^\d+(\.\d+)?$/.test(text) && text.length <= LONGEST_NUMBER) return { text }
  const parts = /^([+-]?)(?:\d+\.?\d*|\.\d+)(?:e([+-]?\d{1,3}))?$/i.exec(text)
  if (parts === null) return { reason: `${name} ${shown(text)} is not a finite number` }
  if (text.length > LONGEST_NUMBER || Math.abs(Number(parts[2] ?? 0)) > LARGEST_EXPONENT) {
    return { reason: `${name} ${shown(text)} has too many digits` }
  }
  const amount = new Big(
    text
      .replace(/^[+]/, '')
      .replace(/^(-?)\./, '$10.')
      .replace(/\.(?=e|$)/i, ''),
  )
  if (amount.lt(0)) return { reason: `${name} ${text} is negative` }
  return { text: amount.abs().toFixed() }
}

function wholeNumber(text: string): string | undefined {
  return /^(\d{1,15})(?:\.0+)?$/.exec(text)?.[1]
}

/** float64 will do: rounding keeps the order of two decimals, so no good bar is refused. */
function problemOf(candle: { open: string; high: string; low: string; close: string }): string | null {
  const high = Number(candle.high)
  const low = Number(candle.low)
  if (high < low) return `high ${candle.high} is below low ${candle.low}`
  for (const name of ['open', 'close'] as const) {
    const price = Number(candle[name])
    if (price < low || price > high)
      return `${name} ${candle[name]} is outside of low ${candle.low} to high ${candle.high}`
  }
  return null
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, LONGEST_NUMBER))
}

const MIXED_ZONES = 'timestamps with and without a zone in one file: those without were read in'

function lookAt(candles: readonly CandleText[], { symbol, timeframe, adjustment }: ImportOptions) {
  const inspector = inspectSeries(symbol, timeframe)
  for (const { time, open, high, low, close, volume } of candles) {
    inspector.add(time, Number(open), Number(high), Number(low), Number(close), Number(volume))
  }
  const report = inspector.finish()
  const warnings = warningsOf(`${symbol} ${timeframe}`, report, kindOf(symbol, { adjustment }).adjustment)
  return { gaps: report.gaps, warnings }
}
