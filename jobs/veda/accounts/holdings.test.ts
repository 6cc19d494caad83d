/** Whose what an account holds is, and how a person says it: against a venue whose answers are written down, with real rows. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Database } from '../../../db/database.ts'
import type { PayloadOf } from '../../../db/events/registry.ts'
import { accountPositions, getAccount } from '../../../db/walle/queries/accounts.ts'
import { getPosition } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { listTrades } from '../../../db/walle/queries/results.ts'
import { createRecorder, record } from '../../../db/walle/record.ts'
import type { RunRow } from '../../../db/walle/rows.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { atVenue, aVenue, liveWith, NAME, sentOrder } from '../../../tests/support/kept_account.ts'
import { startLiveRun, toldBy } from '../../../tests/support/live_run.ts'
import type { ScriptedVenue, ScriptedVenueOptions } from '../../../tests/support/scripted_venue.ts'
import { until } from '../../../tests/support/until.ts'
import { createAccountCommands } from '../../glados/account_commands.ts'
import { recordReport } from '../orders/reports.ts'
import { createAccountKeeper, type Keeper } from './keeper.ts'

let database: TestDatabase
let db: Database
let run: RunRow
let keeper: Keeper | null

beforeEach(async () => {
  database = await createTestDatabase()
  db = database.db
  run = await startLiveRun(db, 1, { symbols: ['AAPL', 'BTC/USD'], initial_cash: '10000' })
  keeper = null
})

afterEach(async () => {
  await keeper?.stop()
  await database.drop()
})

function keep(options: ScriptedVenueOptions = {}): ScriptedVenue {
  const venue = aVenue(options)
  keepAt(venue)
  return venue
}

function keepAt(venue: ScriptedVenue): void {
  const live = liveWith(venue, db)
  keeper = createAccountKeeper({
    live,
    apply: (heard) => recordReport(live, heard),
    name: NAME,
    limits: {
      ...{ tickMs: 20, standByMs: 50, pollMs: 50, reconcileMs: 600_000, downMs: 300, settleMs: 50, mostMs: 2_000 },
      backoff: { firstMs: 50, mostMs: 200, refusedMostMs: 200 },
    },
  })
  keeper.start()
}

const commands = () => createAccountCommands({ recorder: createRecorder(db), now: () => Date.now(), newId: randomUUID })
const context = { corrId: randomUUID() }
const ready = () => until('the account is ready', async () => (await getAccount(db.reader, NAME))?.state === 'ready')
const positionOf = async (symbol: string) =>
  (await accountPositions(db.reader, NAME)).find((row) => row.symbol === symbol) ?? null
const heldBy = async (id: string, symbol = 'AAPL') => (await getPosition(db.reader, id, symbol))?.qty ?? '0'
const cashOf = async (id: string) => (await getRunLedger(db.reader, id))?.cash
const paused = (symbol = 'AAPL') => until('it is paused', async () => (await positionOf(symbol))?.paused_reason)
const goesOn = (symbol = 'AAPL') =>
  until('it goes on', async () => {
    const row = await positionOf(symbol)
    return row !== null && row.paused_reason === null && row.equal_at !== null
  })

async function told<T extends 'account.Reconciled' | 'system.Error'>(type: T): Promise<PayloadOf<T>[]> {
  const rows = await db.reader.query<{ payload: PayloadOf<T> }>(
    `select payload -> 'payload' as payload from weaver.outbox where type = $1 order by id`,
    [type],
  )
  return rows.map(({ payload }) => payload)
}

const classes = async () =>
  (await told('account.Reconciled')).flatMap(({ findings }) => findings.map((one) => one.class))

/** An order of the run's that the venue has filled. */
async function bought(venue: ScriptedVenue, by: RunRow, ordinal: number, qty: string, symbol = 'AAPL'): Promise<void> {
  const order = await sentOrder(db, by, ordinal, { symbol, qty, client_order_id: `${by.id}-${ordinal}` })
  await atVenue(venue, order)
  venue.fill(order.client_order_id, qty, '100')
  await until('it has it', async () => (await heldBy(by.id, symbol)) !== '0')
}

const end = ({ id }: RunRow) =>
  db.write((tx) => record(tx, { writes: [{ kind: 'update_run', id, changes: { status: 'stopped' } }], events: [] }))

function byHand(venue: ScriptedVenue, side: 'buy' | 'sell', qty: string, price: string): void {
  const order = venue.foreignOrder({ symbol: 'AAPL', side, qty })
  venue.fill(order.client_order_id, qty, price)
}

test('what a run has left and somebody sells by hand is taken from it; what another one buys then is all there', async () => {
  const venue = keep()
  await ready()
  await bought(venue, run, 0, '10')
  await end(run)
  byHand(venue, 'sell', '10', '101')
  await until('it is taken', async () => (await heldBy(run.id)) === '0')
  expect(await cashOf(run.id)).toBe('10010')
  expect(await listTrades(db.reader, run.id)).toMatchObject([{ qty: '10', exit_price: '101', pnl: '10' }])
  const [event] = (await toldBy(db, run.id)).filter(({ type }) => type === 'account.PositionAttributed')
  expect(event).toMatchObject({
    payload: { how: 'transfer', by: 'keeper', qty: '-10', price: '101', position_qty: '0' },
  })
  const other = await startLiveRun(db, 2, { symbols: ['AAPL'], initial_cash: '10000' })
  await bought(venue, other, 1, '10')
  await until('it is compared', async () => (await positionOf('AAPL'))?.runs_qty === '10')
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '10', unattributed_qty: '0', paused_reason: null })
  expect(await classes()).toContain('traded_by_hand')
  expect(await told('system.Error')).toEqual([])
})

test('what a running run holds and somebody sells by hand pauses the symbol until it is held against the run', async () => {
  const venue = keep()
  await ready()
  await bought(venue, run, 0, '10')
  byHand(venue, 'sell', '4', '90')
  const reason = await paused()
  expect(reason).toContain(`weaver accounts attribute scripted paper AAPL ${run.id} -4 --price 90`)
  expect(await positionOf('AAPL')).toMatchObject({ unattributed_qty: '0', paused_class: 'traded_by_hand' })
  expect((await told('system.Error')).map(({ message }) => message)).toEqual([`AAPL is paused: ${reason}`])
  const { acceptPosition, attributePosition } = commands()
  await expect(acceptPosition(NAME, 'AAPL', context)).rejects.toMatchObject({ code: 'CONFLICT' })
  const request = { symbol: 'AAPL', run_id: run.id, qty: '-4', price: '90' }
  for (const [changes, code] of [
    [{ qty: '-11' }, 'CONFLICT'],
    [{ qty: '1' }, 'CONFLICT'],
    [{ qty: '0' }, 'VALIDATION_ERROR'],
    [{ qty: 'all' }, 'VALIDATION_ERROR'],
    [{ price: '-1' }, 'VALIDATION_ERROR'],
    [{ run_id: randomUUID() }, 'NOT_FOUND'],
    [{ symbol: 'MSFT' }, 'CONFLICT'],
  ] as const) {
    await expect(attributePosition(NAME, { ...request, ...changes }, context)).rejects.toMatchObject({ code })
  }
  await attributePosition(NAME, request, context)
  await goesOn()
  expect([await heldBy(run.id), await cashOf(run.id)]).toEqual(['6', '9360'])
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '6', runs_qty: '6', unattributed_qty: '0' })
  expect((await classes()).at(-1)).toBe('position_explained')
})

test('what an ended run has left becomes nobody’s, and a new run takes it up, at what it is said to have cost', async () => {
  const venue = keep()
  await ready()
  await bought(venue, run, 0, '10')
  await end(run)
  await until('it is compared', async () => (await positionOf('AAPL'))?.runs_qty === '10')
  const { attributePosition } = commands()
  const heir = await startLiveRun(db, 2, { symbols: ['AAPL'], initial_cash: '5000' })
  await attributePosition(NAME, { symbol: 'AAPL', run_id: run.id, qty: '-10' }, context)
  expect(await positionOf('AAPL')).toMatchObject({ unattributed_qty: '10', runs_qty: '0' })
  const given = { symbol: 'AAPL', run_id: heir.id, qty: '10' }
  await expect(attributePosition(NAME, given, context)).rejects.toMatchObject({ code: 'VALIDATION_ERROR' })
  await attributePosition(NAME, { ...given, price: '100' }, context)
  expect([await heldBy(run.id), await heldBy(heir.id), await cashOf(heir.id)]).toEqual(['0', '10', '4000'])
  await goesOn()
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '10', runs_qty: '10', unattributed_qty: '0' })
})

test('a split makes of what all runs hold what the venue has made of it, at the same cost', async () => {
  const venue = keep()
  venue.setPosition('AAPL', '5')
  await ready()
  await bought(venue, run, 0, '10')
  await until('it is compared', async () => (await positionOf('AAPL'))?.runs_qty === '10')
  venue.setPosition('AAPL', '60')
  await commands().reconcileAccount(NAME)
  expect(await paused()).toContain('`weaver accounts split scripted paper AAPL 4:1`')
  const { splitPosition } = commands()
  await expect(splitPosition(NAME, { symbol: 'AAPL', ratio: '4' }, context)).rejects.toMatchObject({
    code: 'VALIDATION_ERROR',
  })
  await splitPosition(NAME, { symbol: 'AAPL', ratio: '4:1' }, context)
  await goesOn()
  expect(await getPosition(db.reader, run.id, 'AAPL')).toMatchObject({ qty: '40', cost: '1000', avg_price: '25' })
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '60', runs_qty: '40', unattributed_qty: '20' })
  await expect(splitPosition(NAME, { symbol: 'AAPL', ratio: '4:1' }, context)).rejects.toMatchObject({
    code: 'CONFLICT',
  })
})

test('what the venue kept of coins beyond what was booked is a fee of the run that bought: it can sell all that it holds', async () => {
  const unsureFeeInKind = { equity: null, crypto: '0.0025' }
  const venue = keep({ features: { unsureFeeInKind } })
  await ready()
  const order = await sentOrder(db, run, 0, { symbol: 'BTC/USD', qty: '10', price: '10' })
  await atVenue(venue, order)
  venue.fill(order.client_order_id, '10', '10', { fee_qty: '0.025' })
  venue.setPosition('BTC/USD', '9.97499999')
  await until('it is booked', async () => (await heldBy(run.id, 'BTC/USD')) === '9.97499999')
  await goesOn('BTC/USD')
  expect(await positionOf('BTC/USD')).toMatchObject({ unattributed_qty: '0', fee_adjustment: '0', paused_reason: null })
  expect(await classes()).toContain('fee_adjustment')
  const ledger = await getRunLedger(db.reader, run.id)
  expect([ledger?.cash, ledger?.fees]).toEqual(['9900', '0.2500001'])
  venue.setPosition('BTC/USD', '9.97')
  await commands().reconcileAccount(NAME)
  expect(await paused('BTC/USD')).toContain('no order explains -0.00499999')
})

test('an order of Weaver’s own that is not on record, as after a restore, pauses its symbol until its run has what it bought', async () => {
  const venue = aVenue()
  const lost = venue.foreignOrder({ symbol: 'AAPL', qty: '10', client_order_id: `w-${run.id}-7-0` })
  keepAt(venue)
  await ready()
  expect(await paused()).toContain(`the run ${run.id} has placed it, and it is not on record`)
  expect(await positionOf('AAPL')).toMatchObject({ paused_class: 'lost_order' })
  expect((await told('system.Error')).map(({ message }) => message.slice(0, 15))).toEqual(['AAPL is paused:'])
  venue.fill(lost.client_order_id, '10', '99')
  await until('its fill is told', async () =>
    (await positionOf('AAPL'))?.paused_reason?.includes(`attribute scripted paper AAPL ${run.id} 10 --price 99`),
  )
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '10', unattributed_qty: '0' })
  await commands().attributePosition(NAME, { symbol: 'AAPL', run_id: run.id, qty: '10', price: '99' }, context)
  await goesOn()
  expect([await heldBy(run.id), await cashOf(run.id)]).toEqual(['10', '9010'])
  expect((await classes()).includes('foreign_order')).toBe(false)
})

test('what runs have left in the account of before is not held in this one', async () => {
  const venue = keep()
  await ready()
  await bought(venue, run, 0, '10')
  await until('it is compared', async () => (await positionOf('AAPL'))?.runs_qty === '10')
  await keeper?.stop()
  await end(run)
  const other = aVenue()
  Object.assign(other.money, { account_number: 'S2' })
  other.setPosition('AAPL', '3')
  keepAt(other)
  await ready()
  const there = { venue_qty: '3', runs_qty: '0', unattributed_qty: '3', paused_reason: null }
  expect(await positionOf('AAPL')).toMatchObject(there)
  await commands().reconcileAccount(NAME)
  await until('it is asked again', async () => (await classes()) && (await told('account.Reconciled')).length >= 3)
  expect(await positionOf('AAPL')).toMatchObject(there)
  const request = { symbol: 'AAPL', run_id: run.id, qty: '-10' }
  await expect(commands().attributePosition(NAME, request, context)).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('a person accepts what the venue holds: it is nobody’s, and the symbol goes on', async () => {
  const venue = aVenue()
  venue.setPosition('AAPL', '7')
  keepAt(venue)
  await ready()
  venue.setPosition('AAPL', '5')
  await commands().reconcileAccount(NAME)
  await until('it is paused', async () => (await positionOf('AAPL'))?.paused_reason)
  expect(await commands().acceptPosition(NAME, 'AAPL', context)).toMatchObject({
    unattributed_qty: '5',
    paused_reason: null,
  })
  await until('the keeper agrees', async () => {
    const row = await getAccount(db.reader, NAME)
    return (row?.reconciled_at ?? '') > (row?.reconcile_requested_at ?? 'z')
  })
  expect(await positionOf('AAPL')).toMatchObject({ venue_qty: '5', unattributed_qty: '5', paused_reason: null })
  await expect(commands().acceptPosition(NAME, 'MSFT', context)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(commands().reconcileAccount({ exchange: 'none', mode: 'live' })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
})
