/** Exits attached to an entry: they come to life with its fills, one ends the other, and none outlives the position. */
import { type Decimal, ZERO } from './decimals.ts'
import { accept, createOrder, end, ownIntent } from './order_events.ts'
import { type EventPlace, isOpen, remaining, type SimOrder } from './sim_orders.ts'
import type { Simulation } from './simulation.ts'

interface Entered {
  /** What the entry's fill brought into the position. */
  qty: Decimal
  price: Decimal
  /** Open time of its bar. */
  time: number
  from: 'open' | 'limit' | 'stop' | 'close'
}

/** An entry's fill brings its attached exits to life, for the quantity that it brought. */
export function spawnExits(simulation: Simulation, entry: SimOrder, entered: Entered): void {
  const trails = trailOf(entry) !== null
  if (entry.role !== 'own' || (entry.take_profit === null && entry.stop_loss === null && !trails)) return
  const rule = simulation.setup.model.attached_from
  const { from } = entered
  const sameBar =
    rule === 'entry_at_open' ? from === 'open' : rule === 'market_entry' && entry.type === 'market' && from === 'open'
  const birth = {
    pair: simulation.nextOrder,
    cause: entry.last_event,
    activeFrom: sameBar ? entered.time : simulation.ts,
    entered,
  }
  if (entry.stop_loss !== null || trails) spawnExit(simulation, entry, 'stop_loss', birth)
  if (entry.take_profit !== null) spawnExit(simulation, entry, 'take_profit', birth)
}

/** The trail that an entry of another type brings along for its exit. */
function trailOf({ type, trail_price, trail_percent }: SimOrder): string | null {
  return type === 'trailing_stop' ? null : (trail_price ?? trail_percent)
}

interface Birth {
  pair: number
  cause: EventPlace
  activeFrom: number
  entered: Entered
}

function spawnExit(simulation: Simulation, entry: SimOrder, role: 'take_profit' | 'stop_loss', birth: Birth): void {
  const stop = role === 'stop_loss'
  const trails = stop && trailOf(entry) !== null
  const intent = ownIntent({
    client_order_id: `${entry.client_order_id}-${stop ? 'sl' : 'tp'}${birth.pair}`,
    symbol: simulation.setup.symbols[entry.symbol] as string,
    side: entry.side === 'buy' ? 'sell' : 'buy',
    order_type: trails ? 'trailing_stop' : stop ? 'stop' : 'limit',
    qty: birth.entered.qty.toString(),
    limit_price: stop ? null : entry.take_profit,
    stop_price: stop ? entry.stop_loss : null,
    trail_price: trails ? entry.trail_price : null,
    trail_percent: trails ? entry.trail_percent : null,
    reason: trails ? 'trailing stop' : stop ? 'stop loss' : 'take profit',
  })
  const exit = createOrder(simulation, intent, role, birth.cause, {
    id: entry.id,
    ordinal: entry.ordinal,
    client_order_id: entry.client_order_id,
  })
  exit.active_from = birth.activeFrom
  exit.pair = birth.pair
  accept(simulation, exit)
  if (trails) exit.trail_anchor = Number(birth.entered.price.toString())
}

export function twinOf(simulation: Simulation, order: SimOrder): SimOrder | undefined {
  if (order.pair === null) return undefined
  return simulation.open.find((other) => other !== order && isOpen(other) && other.pair === order.pair)
}

/** What an exit may still close: neither what its twin has closed, nor more than is held. */
export function closableQty(simulation: Simulation, order: SimOrder): Decimal {
  const left = remaining(order).minus(order.twin_filled ?? '0')
  const held = simulation.ledger.positions[order.symbol]?.qty ?? ZERO
  const closable = order.side === 'sell' ? held : held.neg()
  return closable.lt(left) ? closable : left
}

/** After a fill: what one exit closed its twin need not close, and an exit with nothing left to close ends. */
export function endSpentExits(simulation: Simulation, order: SimOrder, qty: Decimal): void {
  const twin = order.role === 'own' ? undefined : twinOf(simulation, order)
  if (twin) {
    twin.twin_filled = qty.plus(twin.twin_filled ?? '0').toString()
    for (const leg of [order, twin]) {
      const spent = remaining(leg).lte(leg.twin_filled ?? '0')
      if (spent && isOpen(leg)) end(simulation, leg, 'orders.Cancelled', 'the other exit of the pair filled')
    }
  }
  const held = simulation.qtyFloat[order.symbol] as number
  for (const other of simulation.open) {
    if (other.symbol !== order.symbol || other.role === 'own' || !isOpen(other)) continue
    const closes = other.side === 'sell' ? held > 0 : held < 0
    if (!closes) end(simulation, other, 'orders.Cancelled', 'the position is closed')
  }
}
