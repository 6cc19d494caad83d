/** A person gets out of a position: one order, whoever presses how often, whatever fills meanwhile, and whatever the run does. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RunLedgerRow } from '../../../db/walle/live_rows.ts'
import { getPosition } from '../../../db/walle/queries/live_orders.ts'
import { getRunLedger } from '../../../db/walle/queries/live_runs.ts'
import { getRun } from '../../../db/walle/queries/runs.ts'
import { createRecorder, record } from '../../../db/walle/record.ts'
import type { RunRow } from '../../../db/walle/rows.ts'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, plainAsset, type ScriptedVenue } from '../../../tests/support/scripted_venue.ts'
import { type ClosingOrders, createCloseCommands } from '../../glados/close_commands.ts'
import { cancelRun } from '../../glados/halts/jobs.ts'
import { attributed } from '../../greta/attribution.ts'
import type { SplitRatio } from '../../greta/splits.ts'
import { endRun, endStoppedRun } from '../../live/end.ts'
import type { LiveCheckpoint } from '../../live/ticks.ts'
import { MAKE_ROOM_MS, SEND_WITHIN_MS } from './hindrances.ts'
import { placeOrder } from './placing.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  await database.db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
  await open()
  await world.pause('AAPL', null)
})

const SHORTS = { fill: { allow_short: true } } as const

async function open(changes: Parameters<typeof openOrderWorld>[2] = {}, scripted = createScriptedVenue()) {
  venue = scripted
  world = await openOrderWorld(database.db, venue, changes)
  // A Wednesday, in the session of New York.
  world.clock.now = Date.UTC(2026, 10, 25, 15)
}

/** Filled, with what is attached to it. */
async function entered(exits: object = {}, side: 'buy' | 'sell' = 'buy'): Promise<string> {
  const id = await world.place({ symbol: 'AAPL', side, qty: '10', ...exits })
  await world.drain()
  await world.report(venue.fill(id, '10', '100'))
  await world.drain()
  world.clock.now += 1_000
  return id
}

function press(symbol?: string, exchange = 'scripted'): Promise<ClosingOrders> {
  const commands = createCloseCommands({
    recorder: createRecorder(database.db),
    now: () => world.clock.now,
    newId: randomUUID,
    exchanges: () => [{ exchange, modes: ['paper'], configured: ['paper'], problems: [] }],
  })
  return commands.closePositions(world.run.id, { symbol, by: 'a person, by a test' }, { corrId: randomUUID() })
}
const refusal = (pressed: Promise<unknown>) =>
  pressed.then(
    () => null,
    ({ code, message }: { code: string; message: string }) => [code, message],
  )

const job = {
  signal: new AbortController().signal,
  finish: async () => {},
  putBack: async (): Promise<never> => {
    throw new Error('put back')
  },
}
/** Events that ask for an order by hand. */
const askedFor = async () =>
  (await world.events()).filter(({ type, payload }) => type === 'live.PlaceOrder' && 'by' in payload)

/** One look of the jobs that are to place what was asked for. */
async function carryOut(): Promise<string[]> {
  const ends: string[] = []
  for (const { id } of await askedFor()) {
    const placed = placeOrder(world.jobs, { run_id: world.run.id, event_id: id }, job)
    ends.push(
      await placed.then(
        () => 'done',
        (error: Error) => error.message,
      ),
    )
  }
  return ends
}
/** All that there is to do. */
async function workOn(): Promise<void> {
  while ((await carryOut()).includes('put back')) {
    world.clock.now += 1_000
    await world.drain()
  }
  await world.drain()
}

const openAtVenue = () =>
  venue.book
    .filter(({ status }) => status === 'accepted' || status === 'partial')
    .map(({ side, order_type, qty }) => `${side} ${order_type} ${qty}`)
const theRun = async () => (await getRun(database.db.reader, world.run.id)) as RunRow
const held = async () =>
  (
    await database.db.reader.query<{ qty: string }>('select qty from weaver.positions where run_id = $1', [
      world.run.id,
    ])
  )[0]?.qty

/** A person has said what the split was. */
async function applied(ratio: SplitRatio): Promise<void> {
  await database.db.write(async (tx) => {
    const ledger = (await getRunLedger(tx, world.run.id)) as RunLedgerRow
    const attribution = { symbol: 'AAPL', how: 'split', by: 'person', detail: 'split', ratio } as const
    const made = { id: randomUUID(), attributionId: randomUUID(), corrId: randomUUID(), at: world.clock.now }
    const position = await getPosition(tx, world.run.id, 'AAPL')
    const { writes } = attributed(await theRun(), ledger, position, attribution, { ...made, producer: 'glados' })
    await record(tx, { writes, events: [] })
  })
}

async function ended(status: 'stopped' | 'error'): Promise<void> {
  await database.db.write(async (tx) => {
    if (status === 'error') await world.jobs.record(tx, await endRun(world.jobs, tx, await theRun(), { message: 'x' }))
    else await record(tx, { writes: [{ kind: 'update_run', id: world.run.id, changes: { status } }], events: [] })
  })
}
const toStop = (options: object) =>
  database.db.write((tx) =>
    tx.execute(`update weaver.runs set stop_requested = $2::jsonb where id = $1`, [
      world.run.id,
      JSON.stringify({ cancel_orders: true, close_positions: false, ...options }),
    ]),
  )
const look = () =>
  endStoppedRun(world.jobs, { run_id: world.run.id }, job).then(
    () => 'finished',
    (error: Error) => error.message,
  )

describe.each([
  ['running', async () => {}],
  ['stopped', () => ended('stopped')],
  ['ended by an error', () => ended('error')],
  ['halted by its limits', () => world.halt(world.run.id)],
] as const)('of a run that is %s', (_state, becomes) => {
  test('one order takes the place of the exits, and what was held is sold once', async () => {
    await entered({ stop_loss: '90', take_profit: '120' })
    await becomes()
    const before = (await theRun()).status
    const [closing] = (await press()).items
    expect(closing).toMatchObject({ symbol: 'AAPL', side: 'sell', qty: '10', already: false, waits_for: null })
    await workOn()
    expect(openAtVenue()).toEqual(['sell market 10'])
    const id = closing?.client_order_id as string
    expect(await world.order(id)).toMatchObject({
      ...{ id: closing?.order_id, status: 'accepted', reason: 'closed by hand', time_in_force: 'day', bar_index: null },
    })
    await world.report(venue.fill(id, '10', '99'))
    await world.drain()
    expect([await held(), openAtVenue(), world.waiting, (await theRun()).status]).toEqual(['0', [], [], before])
    expect((await askedFor())[0]?.payload).toMatchObject({ by: 'a person, by a test' })
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'Filled'])
    expect(await refusal(press())).toEqual(['CONFLICT', `run ${world.run.id} holds nothing: there is nothing to close`])
  })
})

describe('pressed again', () => {
  const again = { already: true, side: 'sell', qty: '10' }

  test('by two at once, before it is placed, and while it is open: the first one’s order, and one only', async () => {
    await entered({ stop_loss: '90' })
    const pressed = await Promise.all([press(), press('AAPL')])
    expect(pressed.map(({ items }) => items[0]?.already).sort()).toEqual([false, true])
    const { order_id } = pressed[0].items[0] as { order_id: string }
    const later = [await press()]
    await workOn()
    later.push(await press())
    for (const { items } of [...pressed, ...later]) expect(items).toMatchObject([{ order_id }])
    for (const { items } of later) expect(items).toMatchObject([again])
    await workOn()
    expect([openAtVenue(), (await askedFor()).length]).toEqual([['sell market 10'], 1])
  })

  test('while its strategy, or the end of its run, closes all of it already', async () => {
    await entered()
    const id = await world.place({ symbol: 'AAPL', side: 'sell', qty: '10' })
    expect((await press()).items).toMatchObject([{ ...again, client_order_id: id }])
    expect(await askedFor()).toEqual([])
  })

  test('after the first was refused: another, with an id of its own', async () => {
    await entered()
    const [first] = (await press()).items
    world.clock.now += SEND_WITHIN_MS + 1
    await workOn()
    expect((await world.order(first?.client_order_id as string)).reject_reason).toMatch(
      /^too_late: it was asked for 300 s/,
    )
    const [second] = (await press()).items
    expect(second).toMatchObject({ already: false, qty: '10' })
    await workOn()
    expect([openAtVenue(), second?.order_id === first?.order_id]).toEqual([['sell market 10'], false])
  })

  test('its job runs twice, the answer of the venue is lost: one order', async () => {
    await entered()
    venue.onSubmit('accept_then_unclear')
    const [closing] = (await press()).items
    await workOn()
    await workOn()
    expect([venue.taken(closing?.client_order_id as string), openAtVenue()]).toEqual([1, ['sell market 10']])
  })
})

describe('an exit fills meanwhile', () => {
  test('all of it before it is placed: nothing is sold', async () => {
    const id = await entered({ stop_loss: '90' })
    const [closing] = (await press()).items
    await world.report(venue.fill(`${id}-sl0`, '10', '90'))
    await workOn()
    expect([await held(), openAtVenue(), venue.submits.length]).toEqual(['0', [], 2])
    expect((await world.order(closing?.client_order_id as string)).reject_reason).toBe(
      'short_not_allowed: of the 10 AAPL that it was to close 0 is left',
    )
  })

  test('a part before it is placed: what is left is sold', async () => {
    const id = await entered({ stop_loss: '90' })
    await press()
    await world.report(venue.fill(`${id}-sl0`, '4', '90'))
    await workOn()
    expect([await held(), openAtVenue()]).toEqual(['6', ['sell market 6']])
  })

  test.each([
    ['a sale', 'buy', {}],
    ['of a run that may go short', 'buy', SHORTS],
    ['a purchase that covers', 'sell', SHORTS],
  ] as const)('while it waits for the exits to be gone: nothing more is traded: %s', async (_what, side, changes) => {
    await open(changes)
    const id = await entered({ stop_loss: side === 'buy' ? '90' : '110' }, side)
    const [closing] = (await press()).items
    await carryOut()
    await world.step(world.waiting[0] as (typeof world.waiting)[number])
    await world.report(venue.fill(`${id}-sl0`, '10', '90'))
    await world.drain()
    expect([await held(), openAtVenue(), venue.submits.length]).toEqual(['0', [], 2])
    expect((await world.order(closing?.client_order_id as string)).status).toBe('cancelled')
  })
})

test.each([
  ['has ended', () => ended('stopped')],
  ['goes on', async () => {}],
])(
  'what was split is closed as the shares that it is now, though no bar has shown that to its run, which %s',
  async (_what, becomes) => {
    await entered()
    const state = { newest: { AAPL: { time: 0, close: 100 } } } as unknown as LiveCheckpoint
    await database.db.write((tx) =>
      record(tx, { writes: [{ kind: 'save_checkpoint', run_id: world.run.id, next_tick: 0, state }], events: [] }),
    )
    await applied({ fresh: 4, old: 1 })
    await becomes()
    const [closing] = (await press()).items
    await workOn()
    const id = closing?.client_order_id as string
    expect([openAtVenue(), (await world.send(id))?.decided_close]).toEqual([['sell market 40'], '25'])
  },
)

test('a short position is covered', async () => {
  await open(SHORTS)
  await entered({}, 'sell')
  expect((await press()).items).toMatchObject([{ side: 'buy', qty: '10' }])
  await workOn()
  expect(openAtVenue()).toEqual(['buy market 10'])
})

describe('a run that its limits halted', () => {
  beforeEach(async () => {
    await entered()
    await world.halt(world.run.id)
  })

  test('lets its strategy’s orders leave no more than before', async () => {
    await press()
    await workOn()
    const id = await world.place({ symbol: 'AAPL', qty: '1' })
    expect((await world.order(id)).reject_reason).toBe('halt: the run is halted')
    expect(openAtVenue()).toEqual(['sell market 10'])
  })

  test('does not cancel what a person closes', async () => {
    await press()
    await workOn()
    await cancelRun(world.jobs, { run_id: world.run.id }, job)
    await world.drain()
    expect([openAtVenue(), venue.cancels]).toEqual([['sell market 10'], []])
  })
})

describe('under a halt of the system', () => {
  test('it is refused in words, and so is what was asked for just before', async () => {
    await entered()
    const [closing] = (await press()).items
    await world.halt(null)
    await workOn()
    expect((await world.order(closing?.client_order_id as string)).reject_reason).toBe('halt: the system is halted')
    expect(await refusal(press())).toEqual(['CONFLICT', expect.stringContaining('`weaver resume` comes first')])
    expect(openAtVenue()).toEqual([])
  })

  test('what is open is cancelled', async () => {
    await entered()
    await press()
    await workOn()
    await world.halt(null)
    await cancelRun(world.jobs, { run_id: world.run.id }, job)
    await world.drain()
    expect(openAtVenue()).toEqual([])
  })
})

describe('what its strategy has open in the symbol', () => {
  const own = { symbol: 'AAPL', side: 'sell', qty: '10' } as const

  test('is gone before the close leaves, on both sides', async () => {
    await entered()
    await world.place({ ...own, order_type: 'stop', stop_price: '90' })
    await world.place({ symbol: 'AAPL', side: 'buy', qty: '1', order_type: 'limit', limit_price: '80' })
    await world.drain()
    await press()
    expect(await carryOut()).toEqual(['put back'])
    await workOn()
    expect(openAtVenue()).toEqual(['sell market 10'])
    const reasons = await database.db.reader.query<{ reason: string }>(
      'select distinct cancel_reason as reason from weaver.order_sends where run_id = $1 and cancel_reason is not null',
      [world.run.id],
    )
    expect(reasons).toEqual([{ reason: 'the position is closed by hand' }])
  })

  test('fills instead of being cancelled: no more is sold than is left', async () => {
    await entered()
    const id = await world.place({ ...own, order_type: 'limit', limit_price: '110' })
    await world.drain()
    await press()
    await carryOut()
    await world.report(venue.fill(id, '7', '110'))
    await workOn()
    expect([await held(), openAtVenue()]).toEqual(['3', ['sell market 3']])
  })

  test.each([
    ['a sale of all', { ...own, order_type: 'stop', stop_price: '90' }, /0 is left$/],
    ['of a part', { ...own, qty: '4', order_type: 'stop', stop_price: '90' }, /^too_late: the venue has not confirmed/],
    ['a purchase', { ...own, side: 'buy', order_type: 'limit', limit_price: '80' }, /^too_late: the venue has not/],
  ] as const)('cannot be cancelled: nothing is sold beside it, and it is said: %s', async (_what, asked, why) => {
    await entered()
    await world.place(asked)
    await world.drain()
    venue.onCancel(...Array(40).fill('unavailable'))
    const [closing] = (await press()).items
    await carryOut()
    world.clock.now += MAKE_ROOM_MS
    expect(await carryOut()).toEqual(['done'])
    expect((await world.order(closing?.client_order_id as string)).reject_reason).toMatch(why)
    expect(openAtVenue()).toEqual([`${asked.side} ${asked.order_type} ${asked.qty}`])
  })

  test('stays for as long as the close could not leave', async () => {
    await entered()
    await world.place({ ...own, order_type: 'stop', stop_price: '90' })
    await world.drain()
    await world.account('unknown', 'its stream is down')
    const [closing] = (await press()).items
    expect(closing?.waits_for).toBe('the account, which is not ready: its stream is down')
    expect(await carryOut()).toEqual(['put back'])
    world.clock.now += SEND_WITHIN_MS + 1
    expect(await carryOut()).toEqual(['done'])
    expect((await world.order(closing?.client_order_id as string)).reject_reason).toMatch(
      /^too_late: it was asked for 300 s ago, and the account is not ready/,
    )
    expect([openAtVenue(), venue.cancels]).toEqual([['sell stop 10'], []])
  })

  test('a job that comes again after its order has ended leaves what came since alone', async () => {
    await entered()
    const [closing] = (await press()).items
    await workOn()
    await world.report(venue.fill(closing?.client_order_id as string, '10', '99'))
    await entered()
    const stop = await world.place({ ...own, order_type: 'stop', stop_price: '90' })
    await world.drain()
    await carryOut()
    expect([(await world.send(stop))?.cancel_requested_at, openAtVenue()]).toEqual([null, ['sell stop 10']])
  })
})

describe('a run that stops, or ends, while a close is open', () => {
  const closingIsOpen = async () => {
    await entered()
    const { items } = await press()
    await workOn()
    return items[0]?.client_order_id as string
  }

  test('leaves it', async () => {
    await closingIsOpen()
    await toStop({})
    expect([await look(), openAtVenue(), (await theRun()).cautions]).toEqual(['finished', ['sell market 10'], []])
  })

  test('leaves it when its strategy fails', async () => {
    await closingIsOpen()
    await ended('error')
    await world.drain()
    expect(openAtVenue()).toEqual(['sell market 10'])
  })

  test('places no second one, and waits for it', async () => {
    const id = await closingIsOpen()
    await toStop({ close_positions: true })
    expect([await look(), openAtVenue()]).toEqual(['put back', ['sell market 10']])
    await world.report(venue.fill(id, '10', '99'))
    expect([await look(), await held(), venue.submits.length]).toEqual(['finished', '0', 2])
  })
})

test('what the venue does not take is refused in its words, and what protects stays', async () => {
  const share = plainAsset('AAPL')
  await open({}, createScriptedVenue({ assets: [share] }))
  await entered()
  await world.place({ symbol: 'AAPL', side: 'sell', qty: '10', order_type: 'stop', stop_price: '90' })
  await world.drain()
  share.tradable = false
  const [closing] = (await press()).items
  await workOn()
  const order = await world.order(closing?.client_order_id as string)
  expect([order.reject_reason, order.reject_rule]).toEqual([
    'unsupported: AAPL cannot be traded at the venue now',
    'tradable',
  ])
  expect([openAtVenue(), venue.cancels]).toEqual([['sell stop 10'], []])
})

describe('it is refused', () => {
  test('in a symbol that is paused, and only there', async () => {
    await entered()
    await world.pause('AAPL', 'the venue holds 9: `weaver accounts attribute` holds it against a run')
    expect(await refusal(press('AAPL'))).toEqual([
      'CONFLICT',
      expect.stringMatching(/^nothing leaves in AAPL.*`weaver/),
    ])
    const id = await world.place({ qty: '2' })
    await world.drain()
    await world.report(venue.fill(id, '2', '100'))
    expect(await press()).toMatchObject({ items: [{ symbol: 'BTC/USD' }], refused: [{ symbol: 'AAPL' }] })
  })

  test('where there is nothing, no run, no credentials, or another account', async () => {
    const nothing = (what: string) => ['CONFLICT', `run ${world.run.id} holds ${what}: there is nothing to close`]
    expect([await refusal(press()), await refusal(press('AAPL'))]).toEqual([nothing('nothing'), nothing('no AAPL')])
    await entered()
    expect(await refusal(press(undefined, 'other'))).toEqual([
      'INVALID_RUN_MODE',
      'there is no exchange scripted: known are other',
    ])
    await database.db.write((tx) => tx.execute('update weaver.accounts set number_since = now()'))
    expect(await refusal(press())).toEqual(['CONFLICT', expect.stringMatching(/traded in another account/)])
    Object.assign(world.run, { id: randomUUID() })
    expect(await refusal(press())).toEqual(['NOT_FOUND', `there is no run ${world.run.id}`])
  })
})

test('while the market is closed it says when that opens; coins do not wait', async () => {
  await entered()
  world.clock.now = Date.UTC(2026, 10, 28, 12)
  expect((await press()).items).toMatchObject([
    { waits_for: 'the opening at 2026-11-30T14:30:00.000Z: the market is closed' },
  ])
  const id = await world.place({ qty: '2' })
  await world.drain()
  await world.report(venue.fill(id, '2', '100'))
  expect((await press('BTC/USD')).items).toMatchObject([{ waits_for: null }])
})
