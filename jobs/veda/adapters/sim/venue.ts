/** The simulator as Weaver sees it: one venue among others. */
import { DatabaseUnavailable } from '../../../../db/database.ts'
import { Decimal } from '../../../greta/decimals.ts'
import { type Venue, VenueError, type VenueOrder, type VenueStream, type VenueWorld } from '../../venue.ts'
import { assetOf, featuresOf } from './assets.ts'
import { buyingPowerOf, equityOf } from './books.ts'
import { cancelOrder, createExchange, executionOf, type Look, orderOf, situationOf, submitOrder } from './exchange.ts'
import { barFaults, beforeAnswer, beforeCall, type Call, createDice } from './faults.ts'
import { MOST_MINUTES } from './market.ts'
import type { SimSettings } from './settings.ts'
import { openStream } from './stream.ts'

export const ACCOUNT = 'paper'
const MINUTE_MS = 60_000

export function openSim(settings: SimSettings, world: VenueWorld): Venue {
  const exchange = createExchange({ book: world.simBook, account: ACCOUNT, settings, now: world.now })
  const dice = createDice(settings.seed)
  const streams = new Set<VenueStream>()
  /** `changes`: without an answer the caller cannot know what it did. */
  async function call<T>(
    changes: boolean,
    work: (look: Look) => Promise<T> | T,
    mayLeave?: () => Promise<void>,
  ): Promise<T> {
    try {
      const { faults } = await exchange.peek()
      const made: Call = { faults, dice, sleep: world.sleep }
      await beforeCall(made, changes)
      await mayLeave?.()
      const answer = await exchange.look(work).catch((error: unknown) => {
        throw asVenueError(error, changes)
      })
      beforeAnswer(made, changes)
      return answer
    } catch (error) {
      throw asVenueError(error, false)
    }
  }

  const read: Read = (work) => call(false, work)

  return {
    exchange: 'sim',
    mode: 'paper',
    features: featuresOf(settings),
    feedOf: () => 'sim',
    ...readings(read, settings),
    submit: (order, mayLeave) =>
      call(
        true,
        async (look) =>
          dice(look.faults.refused)
            ? { kind: 'rejected', reason: 'new orders are rejected for the moment' }
            : submitOrder(look, order),
        mayLeave,
      ),
    cancel: ({ exchange_order_id }) => call(true, (look) => cancelOrder(look, exchange_order_id)),
    cancelAll: () =>
      call(true, async (look) => {
        for (const { exchange_order_id } of look.open) await cancelOrder(look, exchange_order_id)
        return look.open.length
      }),
    bars: (request) => {
      if ((request.end - request.start) / MINUTE_MS > MOST_MINUTES) {
        return Promise.reject(new VenueError('refused', `ask for at most ${MOST_MINUTES} minutes of bars at once`))
      }
      return read(({ market, faults, at }) => market(request.symbol).bars(request, at, barFaults(faults)))
    },
    time: () => read(({ at, faults }) => at + faults.clock_skew_ms),
    stream(handlers) {
      const stream = openStream({ exchange, handlers, world, dice })
      streams.add(stream)
      return stream
    },
    async close() {
      await Promise.all([...streams].map((stream) => stream.close()))
    },
  }
}

type Read = <T>(work: (look: Look) => Promise<T> | T) => Promise<T>

/** What only looks. */
function readings(
  read: Read,
  settings: SimSettings,
): Pick<Venue, 'account' | 'positions' | 'asset' | 'fees' | 'orders' | 'orderByClientId' | 'orderById' | 'executions'> {
  return {
    account: () =>
      read((look) => ({
        account_number: 'SIM-1',
        currency: 'USD',
        cash: look.tx.account.cash,
        equity: equityOf(situationOf(look)).round(2).toString(),
        buying_power: buyingPowerOf(situationOf(look)).round(2, 0).toString(),
        blocked: null,
      })),
    positions: () =>
      read(({ positions }) =>
        positions
          .filter(({ qty }) => !new Decimal(qty).eq(0))
          .map(({ symbol, qty, cost }) => ({ symbol, qty, avg_price: new Decimal(cost).div(qty).toString() })),
      ),
    asset: async (symbol) => assetOf(symbol, settings),
    // Those of the account, which may have been opened with others than are set here.
    fees: () => read(({ settings: { commission_bps: bps } }) => ({ least_bps: bps, most_bps: bps })),
    orders: (which) =>
      read(async ({ tx, open }) =>
        ('since' in which ? await tx.ordersSince(new Date(which.since).toISOString()) : open).map(orderOf),
      ),
    orderByClientId: (client_order_id) => read((look) => orderNamed(look, { client_order_id })),
    orderById: (exchange_order_id) => read((look) => orderNamed(look, { exchange_order_id })),
    executions: (since) =>
      read(async ({ tx }) =>
        (await tx.executionsSince(new Date(since).toISOString())).map(({ client_order_id, ...row }) =>
          executionOf(row, client_order_id),
        ),
      ),
  }
}

async function orderNamed({ tx }: Look, by: Parameters<Look['tx']['order']>[0]): Promise<VenueOrder | null> {
  const row = await tx.order(by)
  return row === null ? null : orderOf(row)
}

/** The simulator is as far away as its book. */
function asVenueError(error: unknown, changes: boolean): unknown {
  if (!(error instanceof DatabaseUnavailable)) return error
  return new VenueError(
    changes ? 'unclear' : 'unavailable',
    'the simulator keeps its book in the database, which is away',
    {
      cause: error,
    },
  )
}
