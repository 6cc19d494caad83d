/**
 * Shares trade in sessions: a half day before a holiday and a weekend goes by, and the opening after it. All runs decide by
 * the hour, so that their last tick of a session is that of its close.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Asked, openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** Thursday, open from 13:30 to 17:00 UTC; the Friday is a holiday, and on Monday it trades from 13:30 to 20:00. */
const july = (day: number, hour: number, minute = 0) => Date.UTC(2025, 6, day, hour, minute)
const FILLS = { type: 'limit', limit_price: '101', time_in_force: 'day' } as const
const RESTS = { ...FILLS, limit_price: '50' } as const

/** `sent`: how often it arrived at the venue, and how often it was taken in. */
interface End {
  status: string
  sent: [posts: number, taken: number]
  filled: string
  reason: string | null
  /** The first moment at which the venue can have ended it. */
  at: number | null
}

type Case = [what: string, asked: Asked, end: End]
const filled = (at: number): End => ({ status: 'filled', sent: [1, 1], filled: '10', reason: null, at })
const expired = (at: number): End => ({ status: 'expired', sent: [1, 1], filled: '0', reason: null, at })
const NEVER = { status: 'rejected', filled: '0', at: null }
const refused = (words: string): End => ({ ...NEVER, sent: [1, 0], reason: `venue: ${words}` })
const unsent = (reason: string): End => ({ ...NEVER, sent: [0, 0], reason })

/** Asked for at 12:00 in New York, within the session. */
const AT_NOON: Case[] = [
  ['a day’s order that rests ends with the half day', RESTS, expired(july(3, 17))],
  ['cls in time trades at the close of the half day', { time_in_force: 'cls' }, filled(july(3, 17))],
  [
    'opg during the session: the venue’s words end it',
    { time_in_force: 'opg' },
    refused('opg orders are not accepted between 9:28am and 7:00pm'),
  ],
]

/** Asked for at 13:00, the close: at the last tick of that session. */
const AT_THE_CLOSE: Case[] = [
  ['a day’s order of the last tick waits for the next opening', { time_in_force: 'day' }, filled(july(7, 13, 30))],
  ['a day’s order of the last tick that rests ends with the next session', RESTS, expired(july(7, 20))],
  [
    'cls after the close: the venue’s words end it',
    { time_in_force: 'cls' },
    refused('cls orders are not accepted between 3:50pm and 7:00pm'),
  ],
]

/** Asked for at 9:00, by runs that tick around the clock for the coins beside. */
const BEFORE_THE_OPEN: Case[] = [
  ['opg in time trades at the opening', { time_in_force: 'opg' }, filled(july(7, 13, 30))],
  ['a limit for extended hours trades before the opening', { ...FILLS, extended_hours: true }, filled(july(7, 13))],
  [
    'extended hours take no market order: it never leaves',
    { time_in_force: 'day', extended_hours: true },
    unsent('invalid_order: extended_hours is for limit orders with time_in_force day, not for a market order with day'),
  ],
  ['an order in a halted symbol waits for its end', { symbol: 'SPY', time_in_force: 'day' }, filled(july(7, 14, 20))],
]

const AT_SIM: Case[] = [
  ['sim: a day’s order of the last tick waits for the next opening', { time_in_force: 'day' }, filled(july(7, 13, 30))],
  ['sim: one that rests ends with the next session', { ...RESTS, limit_price: '0.5' }, expired(july(7, 20))],
  [
    'sim: it has no extended hours, and nothing is sent',
    { ...FILLS, extended_hours: true },
    unsent('unsupported: the venue has no extended hours'),
  ],
]

let at: WeaverAtAlpaca
/** The venue is asked once a minute, and brings its orders up to then. */
const LOOK_MS = 61_000
const runs = new Map<string, string>()
let quiet: string
const moveTo = (moment: number) => at.paper.leap(moment - at.paper.time.now())
async function start(cases: readonly Case[], more: Asked): Promise<void> {
  for (const [what, asked] of cases) {
    runs.set(what, (await at.trade({ symbol: 'AAPL', timeframe: '1h', ...more, ...asked })).id)
  }
  // Each asks its venue for its symbols.
  await at.paper.pass(1_000)
}
/** Over that moment, with everything that it sets off. */
async function over(moment: number): Promise<void> {
  await moveTo(moment - 10_000)
  await at.paper.pass(10_000 + LOOK_MS)
}

beforeAll(async () => {
  // The clock that finds a run in use comes back by the time that stands still.
  at = await openWeaverAtAlpaca('paper', { patienceMs: 400 })
  const { control } = at.emulator
  control.autoFill(true)
  await moveTo(july(3, 12, 30))
  quiet = (await at.trade({ symbol: 'AAPL', timeframe: '1h', at_bar: 99 })).id
  for (const hour of [14, 15]) await over(july(3, hour))
  await start(AT_NOON, {})
  await over(july(3, 16))
  await start(AT_THE_CLOSE, {})
  await start(AT_SIM, { exchange: 'sim' })
  await over(july(3, 17))
  // The holiday: nothing is due.
  await over(july(4, 15))
  await moveTo(july(7, 12, 30))
  control.halt('SPY')
  await start(BEFORE_THE_OPEN, { beside: 'BTC/USD' })
  await over(july(7, 13))
  await over(july(7, 13, 30))
  await over(july(7, 14))
  await moveTo(july(7, 14, 20))
  control.halt('SPY', false)
  await at.paper.pass(1_000)
  await over(july(7, 20))
})
afterAll(() => at.close())

/** What the venue itself says of the run's order. */
async function atVenue(id: string): Promise<{ sent: [number, number]; endedAt: number | null }> {
  const { client_order_id } = await at.order(id)
  const { exchange } = await at.paper.run(id)
  if (exchange === 'alpaca') {
    const order = at.emulator.control.book.orders.find((each) => each.client_order_id === client_order_id)
    return { sent: (await at.outcome(id)).sent, endedAt: order?.ended_at ?? null }
  }
  const [order] = await at.paper.query<{ at: Date }>(
    'select changed_at as at from weaver.sim_orders where client_order_id = $1',
    [client_order_id],
  )
  return { sent: order ? [1, 1] : [0, 0], endedAt: order?.at.getTime() ?? null }
}

test.each([...AT_NOON, ...AT_THE_CLOSE, ...BEFORE_THE_OPEN, ...AT_SIM])('%s', async (what, _asked, end) => {
  const id = runs.get(what) as string
  const { status, filled_qty, reject_reason } = await at.order(id)
  const { sent, endedAt } = await atVenue(id)
  const onTime = endedAt !== null && end.at !== null && endedAt >= end.at && endedAt < end.at + LOOK_MS
  expect({ status, sent, filled: filled_qty, reason: reject_reason, at: onTime ? end.at : endedAt }).toEqual(end)
})

test('ticks come within sessions only: none on a holiday, and none of it counts as missed', async () => {
  const ticks = await at.paper.query<{ ts: Date; missed_reason: string | null }>(
    'select ts, missed_reason from weaver.clock_ticks where run_id = $1 order by ts',
    [quiet],
  )
  // Nobody watches from 14:20 to 20:00 on the Monday.
  const slept = [15, 16, 17, 18, 19].map((hour) => ({ ts: new Date(july(7, hour)), missed_reason: 'late' }))
  const ticked = (ts: number) => ({ ts: new Date(ts), missed_reason: null })
  expect(ticks).toEqual([
    ...[14, 15, 16, 17].map((hour) => ticked(july(3, hour))),
    ticked(july(7, 14)),
    ...slept,
    ticked(july(7, 20)),
  ])
})
