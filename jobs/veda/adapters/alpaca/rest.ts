/**
 * Alpaca's REST through its SDK, which knows paths, keys and time-outs. It retries nothing and waits for nothing here: the
 * limit is kept by Weaver's buckets, and who calls decides what a failure means for the next try.
 */
import { marketData, trading } from '@alpacahq/alpaca-trade-api/rest'
import type { z } from 'zod'
import { type TradingMode, VenueError, type VenueWorld } from '../../venue.ts'
import { type Failure, failureOf, venueError } from './errors.ts'
import type { AlpacaSettings } from './settings.ts'
import { parseExact, whyUnread } from './wire.ts'

const ORDER_TIMEOUT_MS = 15_000
const DATA_TIMEOUT_MS = 30_000

export interface Call<S extends z.ZodType> {
  /** For the message of a failure. */
  what: string
  bucket?: 'trading' | 'data'
  /** Goes before reads. */
  urgent?: boolean
  /** It is to change something: a failure may be unclear. */
  changes?: boolean
  /** Leaves though the limit cannot be asked for or is used up: what must not wait. */
  always?: boolean
  /** Asked with the token in hand: what it throws keeps the request here. */
  mayLeave?: (() => Promise<void>) | undefined
  send: () => Promise<{ raw: Response }>
  /** Of the answer; absent: it has no body. */
  shape?: S
}

export type Answered<T> = { value: T; response: Response } | { failure: Failure }

export interface Rest {
  orders: trading.OrdersApi
  positions: trading.PositionsApi
  accounts: trading.AccountsApi
  activities: trading.AccountActivitiesApi
  assets: trading.AssetsApi
  clock: trading.ClockApi
  stocks: marketData.StockApi
  crypto: marketData.CryptoApi
  /** The answer, or what went wrong, as a value. */
  attempt<S extends z.ZodType>(call: Call<S>): Promise<Answered<z.infer<S>>>
  /** The answer; throws a VenueError. */
  ask<S extends z.ZodType>(call: Call<S>): Promise<z.infer<S>>
}

export function createRest(settings: AlpacaSettings, mode: TradingMode, world: VenueWorld): Rest {
  async function enter(
    bucket: string,
    { urgent = false, always = false, mayLeave }: Call<z.ZodType>,
  ): Promise<Failure | null> {
    try {
      if (!always) await world.takeToken(bucket, urgent)
      await mayLeave?.()
      return null
    } catch (error) {
      const reason =
        error instanceof VenueError ? error : new VenueError('unavailable', wordsOf(error), { cause: error })
      return failureOf(reason, false)
    }
  }

  async function attempt<S extends z.ZodType>(call: Call<S>): Promise<Answered<z.infer<S>>> {
    const { bucket = 'trading', changes = false } = call
    const name = `alpaca:${mode}:${bucket}`
    const held = await enter(name, call)
    if (held !== null) return { failure: held }
    try {
      const { raw } = await call.send()
      return { value: call.shape === undefined ? undefined : await read(call.shape, raw), response: raw } as Answered<
        z.infer<S>
      >
    } catch (error) {
      const failure = await failureOf(error, changes)
      note(call, failure)
      if (failure.kind === 'rate_limited') await tell(name, failure)
      return { failure }
    }
  }

  /** By the id that Alpaca gave to it. */
  function note({ what, changes = false }: Call<z.ZodType>, { status, message, requestId }: Failure): void {
    if (status === null || status === 404) return
    const fields = { exchange: 'alpaca', mode, status, request_id: requestId ?? null }
    world.log(changes ? 'warn' : 'info', fields, `Alpaca, ${what}: ${message}`)
  }

  /** Every process keeps away until then. */
  async function tell(bucket: string, { retryAfterMs }: Failure): Promise<void> {
    try {
      await world.emptyBucket(bucket, retryAfterMs)
    } catch (error) {
      world.log('warn', { err: error, bucket }, 'the others could not be told to ask less')
    }
  }

  return {
    ...apisOf(settings),
    attempt,
    async ask(call) {
      const answer = await attempt(call)
      if ('failure' in answer) throw venueError(answer.failure, call.what)
      return answer.value
    },
  }
}

function apisOf({ key: keyId, secret, tradingUrl, dataUrl }: AlpacaSettings) {
  const tradingApi = new trading.Configuration({ keyId, secret, basePath: tradingUrl, timeoutMs: ORDER_TIMEOUT_MS })
  const dataApi = new marketData.Configuration({ keyId, secret, basePath: dataUrl, timeoutMs: DATA_TIMEOUT_MS })
  return {
    orders: new trading.OrdersApi(tradingApi),
    positions: new trading.PositionsApi(tradingApi),
    accounts: new trading.AccountsApi(tradingApi),
    activities: new trading.AccountActivitiesApi(tradingApi),
    assets: new trading.AssetsApi(tradingApi),
    clock: new trading.ClockApi(tradingApi),
    stocks: new marketData.StockApi(dataApi),
    crypto: new marketData.CryptoApi(dataApi),
  }
}

/** An answer that is cut off, or that is no answer of Alpaca's, fails like one that did not come. */
async function read<S extends z.ZodType>(shape: S, response: Response): Promise<z.infer<S>> {
  const parsed = shape.safeParse(parseExact(await response.text()))
  if (parsed.success) return parsed.data
  throw new Error(`an answer that is not understood: ${whyUnread(parsed.error)}`)
}

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
