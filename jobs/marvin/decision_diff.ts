/** Holds what a strategy decided in one play against what it decided in another: which ticks differ, and by how much. */
import type { Intent, PlaceIntent } from '../../strategies/api.ts'
import type { Asked } from './contract.ts'

/** A tick at which something was asked for. */
export interface Decision extends Asked {
  bar_index: number
  ts: number
}

export interface DecisionChange {
  bar_index: number
  /** ISO 8601. */
  ts: string
  was: string
  is: string
  /** Which fields of orders differ, and by what part numbers do. */
  differs: string[]
}

export interface Comparison {
  /** Ticks that were compared, and how many of them differ. */
  ticks: number
  changed: number
  /** The first of them. */
  changes: DecisionChange[]
}

/** Changes that are told one by one; the rest are counted. */
export const MOST_TOLD = 1_000

const NOTHING: Asked = { intents: [], skips: [], logs: [] }

/** Compares the ticks from `from` up to `to` (exclusive). */
export function compareDecisions(
  was: readonly Decision[],
  is: readonly Decision[],
  { from, to }: { from: number; to: number },
): Comparison {
  const before = byTick(was)
  const after = byTick(is)
  const comparison: Comparison = { ticks: Math.max(0, to - from), changed: 0, changes: [] }
  const ticks = [...new Set([...before.keys(), ...after.keys()])].filter((tick) => tick >= from && tick < to)
  for (const tick of ticks.sort((one, other) => one - other)) {
    const one = before.get(tick)
    const other = after.get(tick)
    if (sameText(one, other)) continue
    comparison.changed += 1
    if (comparison.changes.length >= MOST_TOLD) continue
    const ts = new Date((one ?? other)?.ts ?? 0).toISOString()
    const differs = differences(one ?? NOTHING, other ?? NOTHING)
    comparison.changes.push({ bar_index: tick, ts, was: toldOf(one), is: toldOf(other), differs })
  }
  return comparison
}

function byTick(decisions: readonly Decision[]): Map<number, Decision> {
  return new Map(decisions.map((decision) => [decision.bar_index, decision]))
}

function sameText(one: Asked = NOTHING, other: Asked = NOTHING): boolean {
  const text = ({ intents, skips, logs }: Asked) => JSON.stringify([intents, skips, logs])
  return text(one) === text(other)
}

const LONGEST = 400

function toldOf(asked: Asked = NOTHING): string {
  const { intents, skips, logs } = asked
  const parts = [
    ...intents.map(toldIntent),
    ...skips.map((reason) => `skipped: ${reason}`),
    ...logs.map(({ message, data }) => `log: ${message}${data === undefined ? '' : ` ${JSON.stringify(data)}`}`),
  ]
  return parts.length === 0 ? 'nothing' : parts.join('; ').slice(0, LONGEST)
}

function toldIntent(intent: Intent): string {
  if (intent.kind === 'cancel') return `cancel ${intent.client_order_id}`
  const prices = PRICES.filter((name) => intent[name] !== null).map((name) => `${name} ${intent[name]}`)
  return [intent.side, intent.qty, intent.symbol, intent.order_type, ...prices].join(' ')
}

const PRICES = ['limit_price', 'stop_price', 'trail_price', 'trail_percent', 'take_profit', 'stop_loss'] as const
const FIELDS = ['symbol', 'side', 'order_type', 'time_in_force', 'qty', ...PRICES, 'reason'] as const

function differences(one: Asked, other: Asked): string[] {
  const count =
    one.intents.length === other.intents.length ? [] : [`${one.intents.length} -> ${other.intents.length} orders`]
  const fields = one.intents.flatMap((intent, index) => fieldsOf(intent, other.intents[index]))
  const rest = (['skips', 'logs'] as const).filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]))
  return [...count, ...fields, ...rest]
}

function fieldsOf(one: Intent, other: Intent | undefined): string[] {
  if (other === undefined || one.kind !== 'place' || other.kind !== 'place') return []
  return FIELDS.filter((name) => one[name] !== other[name]).map((name) => `${name}: ${by(one, other, name)}`)
}

function by(one: PlaceIntent, other: PlaceIntent, name: (typeof FIELDS)[number]): string {
  const text = `${one[name]} -> ${other[name]}`
  const [was, is] = [Number(one[name]), Number(other[name])]
  if (
    name === 'symbol' ||
    one[name] === null ||
    other[name] === null ||
    !Number.isFinite(was) ||
    !Number.isFinite(is)
  ) {
    return text
  }
  return `${text} (${((is / was - 1) * 100).toPrecision(3)} %)`
}
