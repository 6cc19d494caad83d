/** What a strategy asked for in a paper or live run, as events and rows. Pure but for the checkpoint, which it changes. */
import type { NewEvent } from '../../db/events/envelope.ts'
import { hopEventId, tickEventId } from '../../db/events/ids.ts'
import type { PayloadOf } from '../../db/events/registry.ts'
import type { Write } from '../../db/walle/outcome.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import type { FetchRequest, Intent } from '../../strategies/api.ts'
import { route } from '../glados/router.ts'
import { inlineOf } from '../greta/placing.ts'
import { createSkipLog, type SkipLog } from '../greta/skips.ts'
import type { Asked } from '../marvin/contract.ts'
import type { LiveCheckpoint, LiveTick } from './ticks.ts'

/** Events of a tick before its own windows: clock.Tick, strategy.FetchWindow, live.FetchWindow. */
export const BEFORE_WINDOWS = 3

export interface Told {
  writes: Write[]
  events: NewEvent[]
}

type Body = Pick<NewEvent, 'type' | 'producer' | 'payload'>

type AtTick = Pick<LiveTick, 'bar_index' | 'ts' | 'corr_id'>

/** All that a strategy asks for counts as asked at the tick: its boundary is the time of the event. */
function event(run: Pick<RunRow, 'id'>, tick: AtTick, id: string, cause: string, body: Body): NewEvent {
  const { corr_id, ts } = tick
  return { ...body, id, run_id: run.id, corr_id, causation_id: cause, ts: new Date(ts).toISOString() } as NewEvent
}

type Fetching = Pick<RunRow, 'id' | 'mode' | 'symbols' | 'timeframe' | 'window_bars'>

/** The run's own windows, which every tick wants: only they tell whether there is a new bar. No strategy is asked. */
export function ownFetch(run: Fetching, tick: AtTick): NewEvent[] {
  const requests = run.symbols.map((symbol) => ({ symbol, timeframe: run.timeframe, bars: run.window_bars }))
  return fetchEvents(run, tick, { cause: tick.corr_id, first: 1, requests })
}

/** What the strategy asked for in onTick. */
export function furtherFetch(run: RunRow, tick: LiveTick, cause: string, requests: FetchRequest[]): NewEvent[] {
  const events = fetchEvents(run, tick, { cause, first: tick.next_event, requests })
  tick.next_event += events.length
  return events
}

function fetchEvents(
  run: Fetching,
  tick: AtTick,
  { cause, first, requests }: { cause: string; first: number; requests: FetchRequest[] },
): NewEvent[] {
  const { bar_index } = tick
  const payload = { bar_index, requests }
  const [request, command] = [tickEventId(run.id, bar_index, first), tickEventId(run.id, bar_index, first + 1)]
  return [
    event(run, tick, request, cause, { type: 'strategy.FetchWindow', producer: 'marvin', payload }),
    event(run, tick, command, request, {
      type: route('strategy.FetchWindow', run.mode),
      producer: 'glados',
      payload,
    }),
  ]
}

/** The decision of the newest tick; nothing where the strategy was not asked and noted nothing. */
export function tickDecision(
  run: RunRow,
  checkpoint: LiveCheckpoint,
  { due, cause }: { due: boolean; cause: string },
): Told {
  const { bar_index, asked, next_event } = checkpoint.tick as LiveTick
  if (!due && isEmpty(asked)) return { writes: [], events: [] }
  return tell(run, checkpoint, asked, { part: 0, cause, idOf: (n) => tickEventId(run.id, bar_index, next_event + n) })
}

/** What was asked for between two ticks, when the event `cause` was heard. */
export function furtherPart(run: RunRow, checkpoint: LiveCheckpoint, asked: Asked, cause: string): Told {
  if (isEmpty(asked)) return { writes: [], events: [] }
  const tick = checkpoint.tick as LiveTick
  tick.parts += 1
  return tell(run, checkpoint, asked, { part: tick.parts, cause, idOf: (n) => hopEventId(run.id, cause, n) })
}

function isEmpty({ intents, skips, logs }: Asked): boolean {
  return intents.length + skips.length + logs.length === 0
}

interface Part {
  part: number
  cause: string
  /** Of the `n`th event of the part. */
  idOf: (n: number) => string
}

function tell(run: RunRow, checkpoint: LiveCheckpoint, asked: Asked, { part, cause, idOf }: Part): Told {
  const tick = checkpoint.tick as LiveTick
  const { bar_index, corr_id } = tick
  const decision = idOf(0)
  const payload: PayloadOf<'strategy.DecisionMade'> = {
    bar_index,
    ...(part === 0 ? {} : { part }),
    ...inlineOf(asked),
  }
  const events = [event(run, tick, decision, cause, { type: 'strategy.DecisionMade', producer: 'marvin', payload })]
  for (const intent of asked.intents) {
    const [request, command] = [idOf(events.length), idOf(events.length + 1)]
    events.push(...requestEvents(run, tick, intent, { decision, request, command }))
    tick.told += 1
    tick.pending.push(command)
  }
  const row = { id: decision, run_id: run.id, bar_index, part, ts: new Date(tick.ts).toISOString(), corr_id, ...asked }
  const kept = asked.intents.length + asked.logs.length > 0
  const noted = note(run, checkpoint, (skips, at) => {
    for (const reason of asked.skips) skips.note(at, 'skipped', reason)
  })
  return { writes: [{ kind: 'insert_decisions', rows: kept ? [row] : [] }, ...noted], events }
}

/** The request, and the command that it is routed to. */
function requestEvents(
  run: RunRow,
  tick: LiveTick,
  intent: Intent,
  ids: { decision: string; request: string; command: string },
): NewEvent[] {
  const place = { bar_index: tick.bar_index, ordinal: tick.told }
  const { client_order_id } = intent
  const [type, payload] =
    intent.kind === 'place'
      ? (['strategy.PlaceRequest', { ...place, intent }] as const)
      : (['strategy.CancelRequest', { ...place, client_order_id }] as const)
  return [
    event(run, tick, ids.request, ids.decision, { type, producer: 'marvin', payload }),
    event(run, tick, ids.command, ids.request, { type: route(type, run.mode), producer: 'glados', payload }),
  ]
}

/** An order that was refused is a reason why nothing was done. */
export function noteRejection(
  run: RunRow,
  checkpoint: LiveCheckpoint,
  { reason, rule }: Pick<PayloadOf<'orders.Rejected'>, 'reason' | 'rule'>,
): Write[] {
  return note(run, checkpoint, (skips, at) => {
    skips.note(at, rule === null ? 'rejected' : 'risk', rule ?? reason, rule)
  })
}

function note(
  run: RunRow,
  checkpoint: LiveCheckpoint,
  what: (skips: SkipLog, at: { tick: number; ts: number }) => void,
): Write[] {
  const { bar_index, ts } = checkpoint.tick as LiveTick
  const skips = createSkipLog(checkpoint.skips)
  what(skips, { tick: bar_index, ts })
  checkpoint.skips = skips.save()
  return [{ kind: 'save_skips', rows: skips.take(run.id) }]
}
