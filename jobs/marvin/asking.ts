/** Collects what a strategy asks for during a tick, within limits. */
import type { Intent, Json } from '../../strategies/api.ts'
import { type Asked, clientOrderId, type LogLine } from './contract.ts'

export const LIMITS = {
  intentsPerTick: 1_000,
  skipsPerTick: 100,
  logsPerTick: 100,
  /** Characters of one message, reason or of one line's data as JSON. */
  textLength: 2_000,
  /** Characters of all log lines of a tick. */
  logTextPerTick: 20_000,
} as const

export interface Collector {
  readonly asked: boolean
  /** The id of the next intent; throws when there are too many. */
  nextId(): string
  intent(intent: Intent): void
  skip(reason: unknown): void
  log(message: unknown, data: unknown): void
  take(): Asked
  /** How many intents the tick `barIndex` has so far; also what is restored. */
  count: { bar_index: number; intents: number }
}

/** Shared by all ticks that asked for none: most ask for one kind of thing only. */
const NO_INTENTS: Intent[] = []
const NO_SKIPS: string[] = []
const NO_LOGS: LogLine[] = []

/** `barIndex` gives the present tick: ordinals count its intents from 0, over all calls and takes. */
export function createCollector(runId: string, barIndex: () => number): Collector {
  let intents = NO_INTENTS
  let skips = NO_SKIPS
  let logs = NO_LOGS
  let logText = 0
  let lostLogs = 0

  const collector: Collector & { asked: boolean } = {
    asked: false,
    count: { bar_index: -1, intents: 0 },
    nextId() {
      const { count } = collector
      const now = barIndex()
      if (count.bar_index !== now) collector.count = { bar_index: now, intents: 0 }
      const ordinal = collector.count.intents
      if (ordinal >= LIMITS.intentsPerTick) {
        throw new Error(`more than ${LIMITS.intentsPerTick} orders and cancels at one tick`)
      }
      collector.count.intents = ordinal + 1
      return clientOrderId(runId, now, ordinal)
    },
    intent(intent) {
      collector.asked = true
      if (intents === NO_INTENTS) intents = []
      intents.push(intent)
    },
    skip(reason) {
      collector.asked = true
      if (skips === NO_SKIPS) skips = [clipped(reason)]
      else if (skips.length < LIMITS.skipsPerTick) skips.push(clipped(reason))
    },
    log(message, data) {
      collector.asked = true
      const line: LogLine = { message: clipped(message) }
      const json = data === undefined ? undefined : jsonOf(data)
      if (json !== undefined) line.data = json.value
      const size = line.message.length + (json?.length ?? 0)
      if (logs.length >= LIMITS.logsPerTick || logText + size > LIMITS.logTextPerTick) {
        lostLogs += 1
        return
      }
      logText += size
      if (logs === NO_LOGS) logs = []
      logs.push(line)
    },
    take() {
      if (lostLogs > 0) logs = [...logs, { message: `${lostLogs} more log lines of this tick were left out` }]
      const taken = { intents, skips, logs }
      intents = NO_INTENTS
      skips = NO_SKIPS
      logs = NO_LOGS
      logText = 0
      lostLogs = 0
      collector.asked = false
      return taken
    },
  }
  return collector
}

export function clipped(text: unknown): string {
  return String(text).slice(0, LIMITS.textLength)
}

function jsonOf(data: unknown): { value: Json; length: number } {
  try {
    const text = JSON.stringify(data)
    if (text === undefined) return { value: null, length: 4 }
    if (text.length <= LIMITS.textLength) return { value: JSON.parse(text), length: text.length }
    return { value: `${text.slice(0, LIMITS.textLength)}…`, length: LIMITS.textLength }
  } catch (error) {
    return { value: `not JSON: ${clipped(error).slice(0, 200)}`, length: 200 }
  }
}
