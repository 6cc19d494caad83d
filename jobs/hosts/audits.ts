/** What a host does for audits: it plays what it is sent, over the bars that come with it. */
import { TIMEFRAME_MS } from '../../strategies/api.ts'
import { type AuditPlay, playAudit } from '../audit/play.ts'
import { ticksOf } from '../greta/ticks.ts'
import type { HostHandler } from '../marvin/host_io.ts'
import { loadStrategy } from '../marvin/host_load.ts'
import { columnsOf } from './runs.ts'

export interface AuditRequest {
  play: AuditPlay
  /** Absolute path of the strategy's file. */
  entry: string
  /** Bars before the range, per symbol. */
  warmup: number[]
}

const BEAT_MS = 100

const audit: HostHandler = async (body, columns, io) => {
  const { play, entry, warmup } = body as AuditRequest
  let beat = io.now()
  const all = play.spec.symbols.map((_, symbol) => columnsOf(String(symbol), columns))
  const played = await playAudit(play, {
    data: { columns: all, ticks: ticksOf(all, warmup, TIMEFRAME_MS[play.spec.timeframe]) },
    load: () => loadStrategy(entry, { fresh: true }),
    candles: (symbol, timeframe) => columnsOf('c', io.callParent('candles', { symbol, timeframe }).columns),
    beat(tick) {
      if (io.now() - beat < BEAT_MS) return
      beat = io.now()
      io.heartbeat({ bar_index: tick })
    },
  })
  return { body: played }
}

export const auditHandlers: Readonly<Record<string, HostHandler>> = { audit }
