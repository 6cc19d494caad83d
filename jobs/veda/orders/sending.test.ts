/** The hard cases of an order's way to its venue: whatever goes wrong, the venue takes it once, and nothing is forgotten. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { type OrderWorld, openOrderWorld } from '../../../tests/support/order_world.ts'
import { createScriptedVenue, type ScriptedVenue, type SubmitScript } from '../../../tests/support/scripted_venue.ts'
import { SEND_WITHIN_MS } from './hindrances.ts'
import { submitJob } from './job_specs.ts'
import { RESEND_AFTER_MS } from './leaving.ts'
import { GIVE_UP_AFTER_MS } from './sending.ts'

let database: TestDatabase
let venue: ScriptedVenue
let world: OrderWorld

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  await database.db.write((tx) => tx.execute('update weaver.halts set resumed_at = now() where resumed_at is null'))
  venue = createScriptedVenue()
  world = await openOrderWorld(database.db, venue)
})

/** The job that waits, taken. */
function taken() {
  const job = world.waiting.shift()
  if (!job) throw new Error('no job waits')
  return job
}

describe('a submit', () => {
  test('accepted: sent once, on record with the venue’s id', async () => {
    const id = await world.place()
    expect(venue.submits).toEqual([])
    expect(await world.order(id)).toMatchObject({ status: 'pending', ordinal: 0 })
    await world.drain()
    expect(venue.taken(id)).toBe(1)
    expect(venue.submits).toHaveLength(1)
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
    expect(await world.order(id)).toMatchObject({ status: 'accepted', exchange_order_id: 'x1' })
    expect(await world.send(id)).toMatchObject({ state: 'answered', attempts: 1 })
  })

  test('504, but accepted: found by its client id, never sent again', async () => {
    venue.onSubmit('accept_then_unclear')
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 1])
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
  })

  test('504, accepted, and found only by the third lookup', async () => {
    venue.onSubmit('accept_then_unclear')
    venue.hideNext(2)
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length, venue.lookups.length]).toEqual([1, 1, 3])
    expect(await world.order(id)).toMatchObject({ status: 'accepted' })
  })

  test('504, accepted, and not found for long: sent again with the same id, which the venue knows', async () => {
    venue.onSubmit('accept_then_unclear')
    venue.hideNext(4)
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 2])
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
  })

  test('timed out and not accepted: sent again after three lookups over ten seconds', async () => {
    venue.onSubmit('lose_then_unclear')
    const started = world.clock.now
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length, venue.lookups.length]).toEqual([1, 2, 3])
    expect(new Set(venue.submits.map(({ client_order_id }) => client_order_id))).toEqual(new Set([id]))
    expect(world.clock.now - started).toBeGreaterThanOrEqual(RESEND_AFTER_MS)
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
    expect(await world.send(id)).toMatchObject({ state: 'answered', attempts: 2 })
  })

  test('the process dies between the call and the commit: the next one asks before it does anything', async () => {
    const id = await world.place()
    const job = taken()
    let dead = true
    venue.whileSubmitting = async () => {
      if (dead) await new Promise(() => {})
    }
    void world.step(job)
    await expect.poll(() => venue.submits.length).toBe(1)
    dead = false
    expect(await world.send(id)).toMatchObject({ state: 'sent' })
    world.waiting.push(job)
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 1])
    expect(await world.order(id)).toMatchObject({ status: 'accepted' })
  })

  test('an error that nobody knows is no answer', async () => {
    venue.onSubmit('accept_then_crash')
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 1])
  })

  test('two workers at once: one call', async () => {
    const id = await world.place()
    const job = taken()
    const both = await Promise.all([world.step(job), world.step(job)])
    for (const again of both) if (again !== null) world.waiting.push(job)
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 1])
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
  })

  test('its job twice, after it was done: nothing', async () => {
    const id = await world.place()
    const job = taken()
    expect(await world.step(job)).toBeNull()
    expect(await world.step(job)).toBeNull()
    expect(venue.submits).toHaveLength(1)
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
  })

  test.each(['rate_limited', 'unavailable'] as const)('%s: did nothing, and is sent when it may', async (script) => {
    venue.onSubmit(script, script)
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length, venue.lookups.length]).toEqual([1, 3, 0])
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
  })

  test('rate limited when it is sent again: the first may still be in, so it is looked up', async () => {
    venue.onSubmit('accept_then_unclear', 'rate_limited')
    venue.hideNext(4)
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 2])
    expect(await world.order(id)).toMatchObject({ status: 'accepted' })
  })

  test('refused when it is sent again, because the first is in: the first counts', async () => {
    venue.onSubmit('accept_then_unclear', 'reject')
    venue.hideNext(3)
    const id = await world.place()
    await world.drain()
    expect([venue.taken(id), venue.submits.length]).toEqual([1, 2])
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted'])
  })

  test.each([
    ['reject', 'venue: insufficient buying power'],
    ['refused', 'venue: qty must be positive'],
  ] as [SubmitScript, string][])('%s by the venue: rejected in its words', async (script, words) => {
    venue.onSubmit(script)
    const id = await world.place()
    await world.drain()
    expect(await world.order(id)).toMatchObject({ status: 'rejected', reject_reason: words })
    expect(venue.submits).toHaveLength(1)
  })

  test('credentials revoked: rejected, and the account refused', async () => {
    venue.onSubmit('unauthorised')
    const id = await world.place()
    const next = await world.place()
    await world.step(taken())
    expect(await world.order(id)).toMatchObject({ status: 'rejected', reject_reason: 'unauthorised: 401 unauthorised' })
    const accounts = await database.db.reader.query('select state, state_reason from weaver.accounts')
    expect(accounts).toEqual([{ state: 'refused', state_reason: '401 unauthorised' }])
    expect(await world.step(taken())).not.toBeNull()
    expect(await world.order(next)).toMatchObject({ status: 'pending' })
    expect(venue.submits).toHaveLength(1)
  })

  test('credentials gone altogether: rejected before anything is sent', async () => {
    const id = await world.place()
    world.venue = null
    await world.drain()
    expect(await world.told(id)).toEqual(['Created', 'Rejected'])
    expect(venue.submits).toEqual([])
  })

  test('while the account is not ready, or the symbol paused, it waits; then it is sent', async () => {
    await world.account('unknown')
    const id = await world.place()
    const job = taken()
    expect(await world.step(job)).not.toBeNull()
    await world.account('ready')
    await world.pause('BTC/USD', 'positions differ')
    expect(await world.step(job)).not.toBeNull()
    expect(venue.submits).toEqual([])
    await world.pause('BTC/USD', null)
    expect(await world.step(job)).toBeNull()
    expect(venue.taken(id)).toBe(1)
  })

  test('that could not leave for five minutes is not what was decided any more, by the clock of who sends it', async () => {
    world.clock.now -= 86_400_000
    await world.account('unknown', 'being found out')
    const id = await world.place()
    const job = taken()
    expect(await world.step(job)).not.toBeNull()
    world.clock.now += SEND_WITHIN_MS + 1_000
    expect(await world.step(job)).toBeNull()
    expect((await world.order(id)).reject_reason).toMatch(/^too_late: .*the account is not ready: being found out/)
    expect(venue.submits).toEqual([])
  })
})

describe('reports and submits', () => {
  test('a fill before the POST’s answer: booked once, in order', async () => {
    venue.whileSubmitting = async (order) => {
      if (order === null) return
      await world.report(venue.fill(order.client_order_id, '0.5', '100'))
    }
    const id = await world.place()
    await world.drain()
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'PartiallyFilled'])
    expect(await world.fills(id)).toMatchObject([{ qty: '0.5', price: '100', execution_id: 'e1' }])
  })

  test('filled while the answer was lost: the lookup finds the whole of it', async () => {
    venue.onSubmit('accept_then_unclear')
    venue.pushing = false
    const id = await world.place()
    const job = taken()
    await world.step(job)
    venue.fill(id, '1', '100')
    venue.fill(id, '1', '102')
    world.waiting.push(job)
    await world.drain()
    expect(await world.order(id)).toMatchObject({ status: 'filled', filled_qty: '2', filled_avg_price: '101' })
    expect(venue.submits).toHaveLength(1)
  })

  test('the stream finds an order whose answer is unknown: nothing is sent again', async () => {
    venue.onSubmit('accept_then_unclear')
    const id = await world.place()
    const job = taken()
    await world.step(job)
    await world.report({ order: venue.snapshot(id) })
    expect(await world.send(id)).toMatchObject({ state: 'answered' })
    world.waiting.push(job)
    await world.drain()
    expect([venue.submits.length, venue.lookups.length]).toEqual([1, 0])
  })

  test('updates doubled, swapped and lost, by two processes at once: one effect', async () => {
    venue.pushing = false
    const id = await world.place()
    await world.drain()
    const updates = [venue.fill(id, '0.5', '100'), venue.fill(id, '0.5', '101'), venue.fill(id, '1', '102')]
    await Promise.all([2, 0, 1, 2, 0].map((index) => world.report(updates[index] as object)))
    expect(await world.order(id)).toMatchObject({ status: 'filled', filled_qty: '2', filled_avg_price: '101.25' })
    const fills = await world.fills(id)
    const ids = (await world.events()).map((event) => event.id)
    expect(new Set(ids).size).toBe(ids.length)
    const paid = fills.reduce((sum, fill) => sum + Number(fill.qty) * Number(fill.price), 0)
    expect(paid).toBeCloseTo(202.5, 9)
    const [ledger] = await database.db.reader.query<{ cash: string; next_fill: number }>(
      'select cash, next_fill from weaver.run_ledgers where run_id = $1',
      [world.run.id],
    )
    expect(ledger).toEqual({ cash: '99797.5', next_fill: fills.length })
    const [position] = await database.db.reader.query('select qty, cost from weaver.positions where run_id = $1', [
      world.run.id,
    ])
    expect(position).toEqual({ qty: '2', cost: '202.5' })
  })

  test('of an order that is not ours, or of another account: foreign', async () => {
    const foreign = venue.foreignOrder({ symbol: 'BTC/USD', qty: '1' })
    expect(await world.report({ order: foreign })).toEqual({ kind: 'foreign' })
    const id = await world.place()
    await world.drain()
    const heard = { exchange: 'scripted', mode: 'live', source: 'poll', execution: null } as const
    const { recordReport } = await import('./reports.ts')
    expect(await recordReport(world.jobs, { ...heard, order: venue.snapshot(id) })).toEqual({ kind: 'foreign' })
  })

  test('a round trip books a trade and the cash of both ways', async () => {
    const buy = await world.place({ qty: '2' })
    await world.drain()
    await world.report(venue.fill(buy, '2', '100', { fee: '0.5' }))
    const sell = await world.place({ side: 'sell', qty: '2' })
    await world.drain()
    await world.report(venue.fill(sell, '2', '110', { fee: '0.5' }))
    const trades = await database.db.reader.query(
      'select side, qty, entry_price, exit_price, fees, pnl from weaver.trades where run_id = $1',
      [world.run.id],
    )
    expect(trades).toEqual([{ side: 'long', qty: '2', entry_price: '100', exit_price: '110', fees: '1', pnl: '19' }])
    const changed = (await world.events()).filter(({ type }) => type === 'account.PositionChanged')
    expect(changed.map(({ payload }) => (payload as { qty: string }).qty)).toEqual(['2', '0'])
  })
})

describe('a cancel', () => {
  const limit = { order_type: 'limit', limit_price: '90' } as const

  test('before the order was sent: nothing is sent', async () => {
    const id = await world.place(limit)
    await world.cancel(id)
    await world.drain()
    expect(venue.submits).toEqual([])
    expect(await world.told(id)).toEqual(['Created', 'Cancelled'])
  })

  test('of an order at the venue: the venue ends it', async () => {
    const id = await world.place(limit)
    await world.drain()
    await world.cancel(id)
    expect(await world.order(id)).toMatchObject({ status: 'accepted' })
    await world.drain()
    expect(venue.cancels).toEqual(['x1'])
    expect(await world.order(id)).toMatchObject({ status: 'cancelled' })
  })

  test('asked for while the submit is under way: asked of the venue once it has the order', async () => {
    venue.whileSubmitting = async (order) => {
      if (order) await world.cancel(order.client_order_id)
    }
    const id = await world.place(limit)
    await world.drain()
    expect([venue.taken(id), venue.cancels.length]).toEqual([1, 1])
    expect(await world.order(id)).toMatchObject({ status: 'cancelled' })
  })

  test('asked for while the submit is under way, whose answer is lost, and the stream finds the order: it is asked of the venue', async () => {
    venue.onSubmit('accept_then_unclear')
    venue.whileSubmitting = async (order) => {
      if (order) await world.cancel(order.client_order_id)
    }
    const id = await world.place(limit)
    const job = taken()
    await world.step(job)
    await world.report({ order: venue.snapshot(id) })
    expect(world.waiting).toEqual([])
    world.waiting.push(job)
    await world.drain()
    expect([venue.taken(id), venue.cancels.length]).toEqual([1, 1])
    expect(await world.order(id)).toMatchObject({ status: 'cancelled' })
  })

  test('that lost the race with a fill: the fill counts', async () => {
    venue.pushing = false
    const id = await world.place(limit)
    await world.drain()
    await world.cancel(id)
    venue.fill(id, '2', '90')
    await world.drain()
    expect(venue.cancels).toEqual([])
    expect(await world.order(id)).toMatchObject({ status: 'filled', filled_qty: '2' })
  })

  test('that the venue answers with “too late”: the order is asked for', async () => {
    venue.onCancel('ended')
    const id = await world.place(limit)
    await world.drain()
    await world.cancel(id)
    const job = taken()
    venue.pushing = false
    expect(await world.step(job)).not.toBeNull()
    venue.fill(id, '2', '90')
    expect(await world.step(job)).toBeNull()
    expect(await world.order(id)).toMatchObject({ status: 'filled' })
  })

  test('unclear, rate limited, taken without effect: asked again until the order has ended', async () => {
    venue.onCancel('rate_limited', 'unavailable', 'accept_silently', 'cancel_then_unclear')
    const id = await world.place(limit)
    await world.drain()
    await world.cancel(id)
    await world.drain()
    expect(venue.cancels).toHaveLength(4)
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Accepted', 'Cancelled'])
  })

  test('taken without effect for long: asked less and less often, or a few such orders would use up all requests', async () => {
    venue.onCancel(...Array<'accept_silently'>(30).fill('accept_silently'))
    const id = await world.place(limit)
    await world.drain()
    await world.cancel(id)
    const job = taken()
    const waits: (number | null)[] = []
    for (let asks = 0; asks < 22; asks++) waits.push(await world.step(job))
    expect(waits.slice(0, 3)).toEqual([3_000, 6_000, 9_000])
    expect(waits.slice(-2)).toEqual([60_000, 60_000])
  })

  test('filled in part, then cancelled', async () => {
    const id = await world.place(limit)
    await world.drain()
    await world.report(venue.fill(id, '0.5', '90'))
    await world.cancel(id)
    await world.drain()
    expect(await world.order(id)).toMatchObject({ status: 'cancelled', filled_qty: '0.5' })
  })

  test('of an order that never arrived: it ends once the venue has not known it for a minute', async () => {
    venue.onSubmit('lose_then_unclear')
    const started = world.clock.now
    const id = await world.place(limit)
    const job = taken()
    await world.step(job)
    await world.cancel(id)
    world.waiting.push(job)
    await world.drain()
    expect(venue.submits).toHaveLength(1)
    expect(world.clock.now - started).toBeGreaterThanOrEqual(GIVE_UP_AFTER_MS)
    expect(await world.told(id)).toEqual(['Created', 'Submitted', 'Cancelled'])
  })

  test('of an order that was given up and is there after all: it is cancelled, and what it filled is booked', async () => {
    venue.onSubmit('accept_then_unclear')
    venue.hideNext(1_000)
    const id = await world.place(limit)
    const job = taken()
    await world.step(job)
    await world.cancel(id)
    world.waiting.push(job)
    await world.drain()
    expect(await world.order(id)).toMatchObject({ status: 'cancelled' })
    await world.report(venue.fill(id, '0.5', '90'))
    expect(await world.order(id)).toMatchObject({ status: 'cancelled', filled_qty: '0.5' })
    expect(world.waiting).toMatchObject([{ task: 'veda.send_cancel' }])
  })
})

describe('a halt', () => {
  test('before an order was placed: refused', async () => {
    await world.halt(null)
    const id = await world.place()
    expect(await world.order(id)).toMatchObject({ status: 'rejected', reject_reason: 'halt: the system is halted' })
    expect(world.waiting).toEqual([])
  })

  test('before an order was sent: it ends, and the orders of other runs do not', async () => {
    const other = await openOrderWorld(database.db, venue)
    const [id, free] = [await world.place(), await other.place()]
    await world.halt(world.run.id)
    await world.drain()
    await other.drain()
    expect(await world.order(id)).toMatchObject({ status: 'rejected', reject_reason: 'halt: the run is halted' })
    expect([venue.taken(id), venue.taken(free)]).toEqual([0, 1])
  })

  test('pressed while the order is in flight: it is cancelled as soon as the venue has it', async () => {
    venue.whileSubmitting = () => world.halt(null)
    const id = await world.place({ order_type: 'limit', limit_price: '90' })
    await world.drain()
    expect(venue.cancels).toEqual(['x1'])
    expect(await world.order(id)).toMatchObject({ status: 'cancelled' })
  })

  test('that only its file tells of yet: nothing leaves, and what is in is looked up', async () => {
    venue.onSubmit('accept_then_unclear')
    const [sent, waits] = [await world.place(), await world.place()]
    await world.step(taken())
    world.haltFile = true
    expect(await world.step(taken())).not.toBeNull()
    world.waiting.push(submitJob(await world.order(sent)))
    await world.drain()
    expect([venue.taken(sent), venue.taken(waits), venue.submits.length]).toEqual([1, 0, 1])
    expect(await world.order(sent)).toMatchObject({ status: 'accepted' })
  })

  test('of a run: what protects its position stays, also what was on its way', async () => {
    const entry = await world.place()
    await world.drain()
    await world.report(venue.fill(entry, '2', '100'))
    venue.whileSubmitting = () => world.halt(world.run.id)
    const stop = await world.place({ side: 'sell', order_type: 'stop', stop_price: '90' })
    await world.drain()
    expect(venue.cancels).toEqual([])
    expect(await world.order(stop)).toMatchObject({ status: 'accepted' })
  })

  test('pressed while it is unclear whether the order is in: looked up, never sent again', async () => {
    venue.onSubmit('lose_then_unclear')
    const id = await world.place()
    const job = taken()
    await world.step(job)
    await world.halt(null)
    world.waiting.push(job)
    await world.drain()
    expect(venue.submits).toHaveLength(1)
    expect(await world.order(id)).toMatchObject({ status: 'cancelled' })
  })
})
