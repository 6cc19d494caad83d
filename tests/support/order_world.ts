/** Orders of a paper run on their way to a scripted venue: the handlers themselves on a real Postgres, with a clock that jumps. */
import { randomUUID } from 'node:crypto'
import { type Database, DatabaseUnavailable } from '../../db/database.ts'
import { append } from '../../db/events/append.ts'
import type { NewEvent } from '../../db/events/envelope.ts'
import type { NewJob } from '../../db/events/tasks.ts'
import type { AccountState, OrderSendRow } from '../../db/walle/live_rows.ts'
import { fillsOfOrder, getOrderSend } from '../../db/walle/queries/live_orders.ts'
import { record } from '../../db/walle/record.ts'
import type { FillRow, NewRun, OrderRow, RunRow } from '../../db/walle/rows.ts'
import { sendCancel } from '../../jobs/veda/orders/cancelling.ts'
import { cancelOrder, placeOrder } from '../../jobs/veda/orders/placing.ts'
import { type Heard, type Reported, recordReport } from '../../jobs/veda/orders/reports.ts'
import { type SendJobs, submitOrder } from '../../jobs/veda/orders/sending.ts'
import { WATCH_MS } from '../../jobs/veda/orders/take_profit.ts'
import type { OrderReport } from '../../jobs/veda/reports.ts'
import { VenueError } from '../../jobs/veda/venue.ts'
import type { OrderType, PlaceIntent } from '../../strategies/api.ts'
import { startLiveRun, toldBy } from './live_run.ts'
import type { ScriptedVenue } from './scripted_venue.ts'

/** The handler gave its job back. */
class GivenBack extends Error {
  readonly delayMs: number
  constructor(delayMs: number) {
    super(`again in ${delayMs} ms`)
    this.delayMs = delayMs
  }
}

export interface OrderWorld {
  run: RunRow
  jobs: SendJobs
  /** Jobs that wait for a worker. */
  waiting: NewJob[]
  clock: { now: number }
  /** Whether there is one. */
  haltFile: boolean
  /** Null: the venue's credentials are gone. */
  venue: ScriptedVenue | null
  intent(changes?: Partial<PlaceIntent>): PlaceIntent
  /** The strategy's wish, carried out; sends nothing. Gives the order's client id. */
  place(changes?: Partial<PlaceIntent>): Promise<string>
  cancel(clientOrderId: string): Promise<void>
  /** One attempt at a job; gives how long it is to be put back for, or null when it is done. */
  step(job: NewJob): Promise<number | null>
  /** Works on the jobs until none is left but those that watch prices, the clock jumping over the waits. */
  drain(atMost?: number): Promise<void>
  report(update: Partial<OrderReport>, source?: Heard['source']): Promise<Reported>
  order(clientOrderId: string): Promise<OrderRow>
  send(clientOrderId: string): Promise<OrderSendRow | null>
  fills(clientOrderId: string): Promise<FillRow[]>
  /** Types of the order's events, oldest first. */
  told(clientOrderId: string): Promise<string[]>
  events(): Promise<NewEvent[]>
  account(state: AccountState, reason?: string): Promise<void>
  halt(runId: string | null): Promise<void>
  resume(): Promise<void>
  pause(symbol: string, reason: string | null): Promise<void>
}

let runs = 0

/** As a job is, or a keeper's round, when the database went away within. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof DatabaseUnavailable)) throw error
    }
  }
}

export async function openOrderWorld(
  db: Database,
  venue: ScriptedVenue,
  changes: Partial<NewRun> = {},
  /** What the handlers reach Postgres by. */
  theirs: Database = db,
): Promise<OrderWorld> {
  const run = await startLiveRun(db, ++runs, { symbols: ['BTC/USD', 'AAPL'], initial_cash: '100000', ...changes })
  const clock = { now: Date.now() }
  const waiting: NewJob[] = []
  let commands = 0
  const jobs: SendJobs = {
    db: theirs,
    record: async (tx, outcome) => {
      await record(tx, { ...outcome, jobs: [] })
      waiting.push(...(outcome.jobs ?? []))
    },
    venues: {
      async get() {
        if (world.venue === null) throw new VenueError('unauthorised', 'there are no credentials')
        return world.venue
      },
      configured: () => [],
      known: () => [],
      close: async () => {},
    },
    now: () => clock.now,
    newId: randomUUID,
    isHalted: async () => world.haltFile,
    log: () => {},
  }
  const account = { exchange: venue.exchange, mode: venue.mode }
  const fakeJob = {
    signal: new AbortController().signal,
    finish: async () => {},
    putBack: async (delayMs: number): Promise<never> => {
      throw new GivenBack(delayMs)
    },
  }
  const command = async (type: 'live.PlaceOrder' | 'live.CancelOrder', payload: object) => {
    const id = randomUUID()
    const event = {
      ...{ id, type, run_id: run.id, corr_id: id, causation_id: null, ts: new Date(clock.now).toISOString() },
      ...{ producer: 'glados', payload: { bar_index: 0, ordinal: commands++, ...payload } },
    } as NewEvent
    await db.write((tx) => append(tx, [event], { route: false }))
    return id
  }
  const perform = (job: NewJob): Promise<void> => {
    if (job.task === 'veda.submit_order') return submitOrder(jobs, job.payload, fakeJob)
    if (job.task === 'veda.send_cancel') return sendCancel(jobs, job.payload, fakeJob)
    throw new Error(`the world of orders has no ${job.task}`)
  }
  const world: OrderWorld = {
    ...{ run, jobs, waiting, clock, venue, haltFile: false },
    intent: (wanted = {}) => ({
      ...{ kind: 'place', client_order_id: `w-${run.id}-0-${commands}`, symbol: 'BTC/USD', side: 'buy', qty: '2' },
      ...{ order_type: 'market' as OrderType, limit_price: null, stop_price: null, trail_price: null },
      ...{ trail_percent: null, time_in_force: 'gtc', extended_hours: false, take_profit: null, stop_loss: null },
      ...{ reason: null, ...wanted },
    }),
    async place(wanted) {
      const intent = world.intent(wanted)
      const event_id = await command('live.PlaceOrder', { intent })
      await again(() => placeOrder(jobs, { run_id: run.id, event_id }, fakeJob))
      return intent.client_order_id
    },
    async cancel(client_order_id) {
      const event_id = await command('live.CancelOrder', { client_order_id })
      await again(() => cancelOrder(jobs, { run_id: run.id, event_id }, fakeJob))
    },
    async step(job) {
      try {
        await perform(job)
        return null
      } catch (error) {
        if (error instanceof GivenBack) return error.delayMs
        throw error
      }
    },
    async drain(atMost = 100) {
      const watching: NewJob[] = []
      for (let steps = 0; waiting.length > 0; steps++) {
        if (steps === atMost) throw new Error(`jobs are left after ${atMost} steps: ${JSON.stringify(waiting)}`)
        const job = waiting.shift() as NewJob
        const again = await world.step(job)
        if (again === null) continue
        if (again >= WATCH_MS) {
          watching.push(job)
          continue
        }
        clock.now += again
        waiting.push(job)
      }
      waiting.push(...watching)
    },
    report: (update, source = 'stream') =>
      again(() => recordReport(jobs, { ...account, source, order: null, execution: null, ...update })),
    async order(id) {
      const [row] = await db.reader.query<OrderRow>('select * from weaver.orders where client_order_id = $1', [id])
      if (!row) throw new Error(`no order ${id}`)
      return row
    },
    send: async (id) => getOrderSend(db.reader, (await world.order(id)).id),
    fills: async (id) => fillsOfOrder(db.reader, (await world.order(id)).id),
    async told(id) {
      const events = await toldBy(db, run.id)
      return events
        .filter(
          ({ type, payload }) =>
            type.startsWith('orders.') && (payload as { client_order_id?: string }).client_order_id === id,
        )
        .map(({ type }) => type.replace('orders.', ''))
    },
    events: () => toldBy(db, run.id),
    async account(state, reason) {
      await db.write(async (tx) => {
        const row = {
          ...{
            ...account,
            account_number: 'S1',
            number_since: null,
            currency: 'USD',
            cash: '0',
            equity: '0',
            buying_power: '0',
            state,
          },
          ...{ state_reason: reason ?? null, blocked: null, keeper: 'test', stream: 'up' as const, checked_at: null },
          ...{ reconciled_at: null, reconcile_requested_at: null },
        }
        await record(tx, { writes: [{ kind: 'save_accounts', rows: [row] }], events: [] })
      })
    },
    async halt(run_id) {
      const row = {
        ...{ id: randomUUID(), run_id, rule: 'test', reason: null, halted_at: new Date().toISOString() },
        ...{ halted_by: 'test', resumed_at: null, resumed_by: null },
      }
      await db.write(async (tx) => {
        await record(tx, { writes: [{ kind: 'save_halts', rows: [row] }], events: [] })
      })
    },
    async resume() {
      await db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
    },
    async pause(symbol, paused_reason) {
      const row = {
        ...account,
        symbol,
        venue_qty: '0',
        runs_qty: '0',
        unattributed_qty: '0',
        fee_adjustment: '0',
        equal_at: null,
        paused_reason,
        paused_class: null,
      }
      await db.write(async (tx) => {
        await record(tx, { writes: [{ kind: 'save_account_positions', rows: [row] }], events: [] })
      })
    },
  }
  await world.account('ready')
  return world
}
