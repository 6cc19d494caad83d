/** The stream of order updates. It is up once Alpaca has acknowledged that it is listened to; nothing missed comes again. */
import { z } from 'zod'
import type { StreamHandlers, VenueWorld } from '../../venue.ts'
import { orderOf, type Pairs, updateExecution } from './mapping.ts'
import type { Others } from './others.ts'
import type { AlpacaSettings } from './settings.ts'
import { type KeptSocket, keepSocket } from './socket.ts'
import { parseExact, rowOf, wireUpdate } from './wire.ts'

const CHANNEL = 'trade_updates'
const LISTEN = { action: 'listen', data: { streams: [CHANNEL] } }

const message = z.object({ stream: z.string(), data: z.record(z.string(), z.unknown()) })
const listening = z.object({ streams: z.array(z.string()) })

export interface TradeStreamOptions {
  settings: AlpacaSettings
  label: string
  world: VenueWorld
  handlers: StreamHandlers
  pairs: () => Pairs
  others: Others
}

export function openTradeStream({ settings, label, world, handlers, pairs, others }: TradeStreamOptions): KeptSocket {
  let isUp = false
  const state = (up: boolean, reason: string) => {
    if (isUp === up) return
    isUp = up
    handlers.onState({ up, reason })
  }

  function heard(text: string): string | null {
    const { stream, data } = message.parse(parseExact(text))
    if (stream === 'authorization') {
      if (data.status !== 'authorized') return 'Alpaca refuses the keys'
      socket.send(LISTEN)
    } else if (stream === 'listening') {
      if (!listening.parse(data).streams.includes(CHANNEL)) return `Alpaca does not give ${CHANNEL}`
      socket.settled()
      state(true, 'subscribed')
    } else if (stream === CHANNEL) {
      tell(data)
    }
    return null
  }

  function tell(data: unknown): void {
    const update = others.update(rowOf(wireUpdate, data))
    if (update === null) return
    const order = orderOf(update.order, pairs())
    const execution = updateExecution(update, pairs())
    if (update.event === 'trade_bust' || update.event === 'trade_correct') {
      const ids = { client_order_id: order.client_order_id, execution_id: update.execution_id }
      world.log('error', ids, `Alpaca takes a fill back (${update.event}): the account must be compared by hand`)
    }
    try {
      handlers.onOrder(order, execution)
    } catch (error) {
      world.log('error', { err: error, client_order_id: order.client_order_id }, 'an update of an order was not taken')
    }
  }

  const socket = keepSocket(settings.tradeStreamUrl, `${label} orders`, world, {
    opened: () => socket.send({ action: 'authenticate', data: { key_id: settings.key, secret_key: settings.secret } }),
    heard,
    probe: () => LISTEN,
    ended: (reason) => state(false, reason),
  })
  return socket
}
