/**
 * The kill switch is tried in earnest: the whole system is halted, by its row and by its file, while orders are asked for on
 * the way of every order, and the venue is asked what it got. Whatever fails leaves Weaver halted.
 */
import type { NewEvent } from '../../../db/events/envelope.ts'
import { getAccount } from '../../../db/walle/queries/accounts.ts'
import { activeHalt } from '../../../db/walle/queries/halts.ts'
import { listRunOrdersByClientId } from '../../../db/walle/queries/orders.ts'
import { getRun } from '../../../db/walle/queries/runs.ts'
import { record } from '../../../db/walle/record.ts'
import type { OrderRow, RunRow } from '../../../db/walle/rows.ts'
import type { Control } from '../../control.ts'
import { Decimal } from '../../greta/decimals.ts'
import { clientOrderId } from '../../marvin/contract.ts'
import type { System } from '../../system.ts'
import type { Venue, VenueAsset } from '../../veda/venue.ts'
import type { PreciseClock } from '../clock.ts'
import { DRILL } from '../halt_commands.ts'
import { readHaltFile, writeHaltFile } from './file.ts'

export interface DrillWorld {
  system: System
  control: Pick<Control, 'commands' | 'venues'>
  clock: PreciseClock
  /** Another process's view of the database. */
  another: <T>(work: (system: System) => Promise<T>) => Promise<T>
  /** A step is done. */
  tell: (step: string, ms: number) => void
}

/** A step that did not come about, and whether orders may leave nevertheless. */
export class DrillFailed extends Error {
  override readonly name = 'DrillFailed'
}

const BY = 'weaver halt --drill'
const LOOK_MS = 50
/** Of each step. */
const PATIENCE_MS = 30_000
const BARS_MS = 86_400_000
/** Far from the market: it rests. */
const OF_THE_PRICE = '0.5'
/** In quote currency. */
const NOTIONAL = '20'

export async function drillHalt(world: DrillWorld, exchange: string, symbol: string): Promise<void> {
  const { system, control, clock, tell } = world
  const { commands } = control
  const { dataDir } = system.config
  const corr = { corrId: clock.newId() }
  const step = stepper(world)
  const venue = await control.venues.get(exchange, 'paper')
  const isReady = async () => (await getAccount(system.db.reader, { exchange, mode: 'paper' }))?.state === 'ready'
  const notHalted = async () => (await activeHalt(system.db.reader, null)) === null && (await isReady())

  await step(`the ${exchange} paper account is ready`, isReady)
  const since = (await venue.time()) - 1
  const run = await startRun(world, exchange, symbol)
  const { ask, orderOf, isRefused } = orders(world, run, await restingOrder(venue, symbol))
  await step(
    'the run of the drill is ready',
    async () => (await getRun(system.db.reader, run.id))?.status === 'running',
  )
  const resting = await ask(0)
  await step('an order rests at the venue', async () => (await venue.orderByClientId(resting))?.status === 'accepted')
  const sent = (await venue.orders({ since })).length
  const nothingSent = async (id: string) =>
    (await venue.orders({ since })).length === sent && (await venue.orderByClientId(id)) === null

  const { halt, already } = await commands.halt({ rule: DRILL, reason: DRILL, by: BY }, corr)
  if (already) throw new DrillFailed(`it was halted meanwhile: ${halt.rule} by ${halt.halted_by}`)
  const pressed = clock.monotonic()
  const allCancelled = async () =>
    (await venue.orders({ open: true })).length === 0 && (await orderOf(resting))?.status === 'cancelled'
  await step('halted, and the last open order is cancelled at the venue and on record', allCancelled)
  tell('from the press to the last cancel confirmed', clock.monotonic() - pressed)
  const refused = await ask(1)
  await step('an order asked for is refused, by reason of the halt', () => isRefused(refused))
  await step(`the venue has still got ${sent} order(s), and does not know that one`, () => nothingSent(refused))
  await step('the halt is there for another process', () =>
    world.another(async ({ db }) => (await activeHalt(db.reader, null))?.id === halt.id),
  )
  await commands.resume(BY, corr, halt.id)
  await step('resumed: the account was asked, and orders may leave', notHalted)

  await writeHaltFile(dataDir, { reason: DRILL, by: BY, at: new Date(clock.now()).toISOString(), drill: true })
  const held = await ask(2)
  await step('the halt file alone halts', async () => {
    return ((await readHaltFile(dataDir))?.drill ?? false) && (await activeHalt(system.db.reader, null)) !== null
  })
  const byFile = await activeHalt(system.db.reader, null)
  if (byFile?.rule !== DRILL) throw new DrillFailed(`it was halted meanwhile: ${byFile?.rule} by ${byFile?.halted_by}`)
  await step('an order asked for meanwhile ends without being sent', () => isRefused(held))
  await step(`the venue has still got ${sent} order(s), and does not know that one`, () => nothingSent(held))
  await commands.resume(BY, corr, byFile.id)
  await step('resumed: the file is gone, and orders may leave', async () => {
    return (await readHaltFile(dataDir)) === null && (await notHalted())
  })
  await commands.stopRun(run.id, { cancel_orders: true, close_positions: false }, corr)
  await step(
    'the run of the drill is stopped',
    async () => (await getRun(system.db.reader, run.id))?.status === 'stopped',
  )
}

/** Waits for what is to come about, and tells how long that took. */
function stepper({ clock, tell }: DrillWorld) {
  return async (what: string, isSo: () => Promise<boolean>): Promise<void> => {
    const began = clock.monotonic()
    let trouble = ''
    for (;;) {
      try {
        if (await isSo()) break
      } catch (error) {
        if (error instanceof DrillFailed) throw error
        trouble = `: ${error instanceof Error ? error.message : String(error)}`
      }
      if (clock.monotonic() - began > PATIENCE_MS) {
        throw new DrillFailed(`${what}: it was not so within ${PATIENCE_MS / 1000} s${trouble}`)
      }
      await clock.sleep(LOOK_MS)
    }
    tell(what, clock.monotonic() - began)
  }
}

/** It decides at midnight UTC, if that should come meanwhile; what the drill asks for is not its. */
async function startRun({ control, clock }: DrillWorld, exchange: string, symbol: string): Promise<RunRow> {
  const corr = { corrId: clock.newId() }
  const created = await control.commands.createRun(
    { strategy_id: 'sma_cross', mode: 'paper', exchange, symbols: [symbol], timeframe: '1d', label: 'halt drill' },
    corr,
  )
  return control.commands.startRun(created.id, corr)
}

function orders({ system, clock }: DrillWorld, run: RunRow, resting: { qty: string; limit_price: string }) {
  const { db } = system
  // Beyond the run's first tick, as a run that is stopped closes its positions.
  const bar_index = run.next_tick + 1
  const idOf = (ordinal: number) => clientOrderId(run.id, bar_index, ordinal)
  const orderOf = async (id: string): Promise<OrderRow | undefined> =>
    (await listRunOrdersByClientId(db.reader, run.id, [id]))[0]
  return {
    orderOf,
    /** As GLaDOS routes what a strategy asks for. Gives the order's client id. */
    async ask(ordinal: number): Promise<string> {
      const id = clock.newId()
      const client_order_id = idOf(ordinal)
      const event: NewEvent = {
        ...{ id, type: 'live.PlaceOrder', run_id: run.id, corr_id: id, causation_id: run.last_event_id },
        ...{ ts: new Date(clock.now()).toISOString(), producer: 'glados' },
        payload: {
          ...{ bar_index, ordinal },
          intent: {
            ...{ kind: 'place', client_order_id, symbol: run.symbols[0] as string, side: 'buy', order_type: 'limit' },
            ...{ ...resting, stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'gtc' },
            ...{ extended_hours: false, take_profit: null, stop_loss: null, reason: DRILL },
          },
        },
      }
      await db.write((tx) => record(tx, { writes: [], events: [event] }))
      return client_order_id
    },
    /** Refused, or where it was on record when the halt came, cancelled before it was sent. */
    async isRefused(id: string): Promise<boolean> {
      const order = await orderOf(id)
      if (order?.status === 'rejected' && !order.reject_reason?.startsWith('halt')) {
        throw new DrillFailed(`it was refused for another reason: ${order.reject_reason}`)
      }
      return order?.status === 'rejected' || (order?.status === 'cancelled' && order.submitted_at === null)
    },
  }
}

/** Far below the market, on the venue's grid. */
async function restingOrder(venue: Venue, symbol: string): Promise<{ qty: string; limit_price: string }> {
  const asset = await venue.asset(symbol)
  if (asset === null) throw new DrillFailed(`${venue.exchange} does not know the symbol ${symbol}`)
  const end = await venue.time()
  const close = (await venue.bars({ symbol, timeframe: '1h', start: end - BARS_MS, end })).at(-1)?.close
  if (close === undefined) throw new DrillFailed(`${venue.exchange} has no price of ${symbol}`)
  return sizeOf(asset, close)
}

export function sizeOf(asset: VenueAsset, close: string): { qty: string; limit_price: string } {
  const price = new Decimal(close).times(OF_THE_PRICE)
  const grid = asset.price_increments.find(({ below }) => below === null || price.lt(below))?.increment
  const limit = grid === undefined ? price : onGrid(price, grid, 'down')
  const wanted = new Decimal(asset.min_notional ?? '0').times('2')
  const qty = new Decimal(NOTIONAL).gt(wanted) ? new Decimal(NOTIONAL).div(limit) : wanted.div(limit)
  const whole = onGrid(qty, asset.qty_increment ?? (asset.fractionable ? '0.000000001' : '1'), 'up')
  const least = new Decimal(asset.min_qty ?? '0')
  return { qty: (whole.lt(least) ? least : whole).toString(), limit_price: limit.toString() }
}

function onGrid(value: Decimal, increment: string, way: 'up' | 'down'): Decimal {
  const steps = value.div(increment)
  return steps.round(0, way === 'up' ? 3 : 0).times(increment)
}
