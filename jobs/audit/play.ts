/** One play of an audit: a backtest of which only the decisions are kept, tick by tick, and what was carried between them. */
import type { CandleColumns } from '../../db/walle/rows.ts'
import type { Json, StrategyDefinition, Timeframe } from '../../strategies/api.ts'
import { type Checkpoint, openBacktest, playTicks, type RunData, type RunSpec } from '../backtest/backtest.ts'
import { saveSimulation } from '../greta/simulation.ts'
import { createInstance } from '../marvin/context.ts'
import type { InstanceOptions, StrategyInstance } from '../marvin/contract.ts'
import type { Decision } from '../marvin/decision_diff.ts'

/** JSON. */
export interface AuditPlay {
  spec: RunSpec
  from: number
  /** Exclusive. */
  to: number
  /** What it goes on from; null: the run's start. */
  checkpoint: Checkpoint | null
  /** Go on from the checkpoint's account, but with the state that `init` gives. */
  new_state: boolean
  /** The window is so many times as long as the strategy wants it. */
  window_factor: number
  /** The strategy's file is evaluated anew for every tick. */
  fresh: boolean
  /** Ticks before which what is carried is kept. */
  stops: number[]
}

export interface AuditPlayed {
  decisions: Decision[]
  /** By tick: how the run stood before it. */
  checkpoints: Record<number, Checkpoint>
  /** `ctx.state` after the last tick played. */
  state: Json
  /** Symbols and timeframes that were fetched besides the run's own. */
  fetched: boolean
  failure: string | null
}

export interface AuditParts {
  data: RunData
  /** The strategy, evaluated anew at every call. */
  load: () => Promise<StrategyDefinition>
  candles: (symbol: string, timeframe: Timeframe) => CandleColumns
  /** Called now and then: the strategy gets on. */
  beat: (tick: number) => void
  instance?: ((definition: StrategyDefinition, options: InstanceOptions) => StrategyInstance) | undefined
}

export async function playAudit(play: AuditPlay, parts: AuditParts): Promise<AuditPlayed> {
  const make = parts.instance ?? createInstance
  const played: AuditPlayed = { decisions: [], checkpoints: {}, state: null, fetched: false, failure: null }
  const recorder = createRecorder(play, played)
  let definition = await parts.load()
  let options: InstanceOptions | null = null
  const backtest = openBacktest({
    spec: play.spec,
    data: parts.data,
    createInstance(given) {
      options = given
      return recorder.open(make(definition, given), given)
    },
    load(symbol, timeframe) {
      played.fetched = true
      return parts.candles(symbol, timeframe)
    },
    // A simulation goes on with the very orders that it is given.
    checkpoint: structuredClone(play.checkpoint),
    next: play.from,
  })
  for (const [from, to] of stretchesOf(play)) {
    if (play.stops.includes(from)) played.checkpoints[from] = recorder.checkpoint(backtest.simulation)
    if (play.fresh && from > play.from) {
      definition = await parts.load()
      recorder.renew(make(definition, options as unknown as InstanceOptions))
    }
    const stretch = playTicks(backtest, from, to, (tick) => {
      parts.beat(tick)
      return false
    })
    parts.beat(to)
    if (stretch.failure) {
      played.failure = `${stretch.failure.message} (tick ${stretch.failure.bar_index})`
      break
    }
  }
  played.state = structuredClone(recorder.instance().save().state)
  return played
}

/** Where a play is interrupted: at its stops, and at every tick when each has an instance of its own. */
function stretchesOf({ from, to, stops, fresh }: AuditPlay): [number, number][] {
  const borders = new Set([...stops.filter((stop) => stop > from && stop < to), to])
  for (let tick = from + 1; fresh && tick < to; tick++) borders.add(tick)
  let start = from
  return [...borders]
    .sort((one, other) => one - other)
    .map((border) => {
      const stretch: [number, number] = [start, border]
      start = border
      return stretch
    })
}

/** Stands between a run and its strategy: notes what is asked for, and puts another instance in the strategy's place. */
function createRecorder(play: AuditPlay, played: AuditPlayed) {
  let inner: StrategyInstance
  let initial: Json
  const facade = (port: InstanceOptions['port']): StrategyInstance => ({
    windowBars: inner.windowBars * play.window_factor,
    get hasOnTick() {
      return inner.hasOnTick
    },
    get hasOnOrder() {
      return inner.hasOnOrder
    },
    onOrder: (order) => inner.onOrder(order),
    onTick: () => inner.onTick(),
    onWindow: () => inner.onWindow(),
    get asked() {
      return inner.asked
    },
    take() {
      const asked = inner.take()
      played.decisions.push({ bar_index: port.barIndex, ts: port.ts, ...asked })
      return asked
    },
    save: () => inner.save(),
    restore: (memory) => inner.restore(play.new_state ? { ...memory, state: initial } : memory),
  })
  return {
    open(instance: StrategyInstance, { port }: InstanceOptions): StrategyInstance {
      inner = instance
      initial = structuredClone(inner.save().state)
      return facade(port)
    },
    /** Only what is stored between ticks is handed on. */
    renew(instance: StrategyInstance): void {
      const memory = JSON.parse(JSON.stringify(inner.save()))
      inner = instance
      inner.restore(memory)
    },
    instance: () => inner,
    checkpoint: (simulation: Parameters<typeof saveSimulation>[0]): Checkpoint =>
      JSON.parse(JSON.stringify({ simulation: saveSimulation(simulation), memory: inner.save() })),
  }
}
