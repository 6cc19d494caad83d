/** An audit through real hosts, over stored candles: nothing of it is stored, no run is made. */
import type { Reader } from '../../db/database.ts'
import { readColumns } from '../../db/walle/queries/candles.ts'
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type Json, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { RunSpec } from '../backtest/backtest.ts'
import { DomainError } from '../glados/errors.ts'
import type { AuditRequest } from '../hosts/audits.ts'
import { columnsNamed } from '../hosts/runs.ts'
import type { Columns } from '../marvin/frames.ts'
import type { HostPool } from '../marvin/host_pool.ts'
import { type AuditOptions, type AuditReport, type AuditSubject, type AuditWorld, auditStrategy } from './audit.ts'
import type { AuditPlay, AuditPlayed } from './play.ts'

/** Bars of all symbols together: every play is sent them. */
export const MAX_AUDIT_BARS = 200_000
/** The longest window that the audit tries, in windows of the strategy. */
const WARMUP_WINDOWS = 2

export interface AuditRun {
  strategyId: string
  /** Absolute path of the strategy's file, put on disk. */
  entry: string
  windowBars: number
  spec: Omit<RunSpec, 'params'> & { params: Record<string, Json> }
  /** Epoch milliseconds: bars that close in between. */
  range: { start: number; end: number }
  options: AuditOptions
}

export interface AuditParts {
  reader: Reader
  hosts: HostPool
  /** A pool of one host in which nothing has run. */
  newHosts: () => HostPool
  /** Told before every play. */
  onPlay: (play: AuditPlay) => void
}

export async function runAudit(run: AuditRun, parts: AuditParts): Promise<AuditReport> {
  const subject = await loadSubject(run, parts.reader)
  return auditStrategy(run.strategyId, subject, run.options, async (play, world) => {
    parts.onPlay(play)
    if (!world.newProcess) return playOn(parts.hosts, run, subject, play, world, parts.reader)
    const hosts = parts.newHosts()
    try {
      return await playOn(hosts, run, subject, play, world, parts.reader)
    } finally {
      await hosts.close()
    }
  })
}

async function loadSubject({ spec, windowBars, range }: AuditRun, reader: Reader): Promise<AuditSubject> {
  const frame = TIMEFRAME_MS[spec.timeframe]
  const columns: CandleColumns[] = []
  const warmup: number[] = []
  for (const symbol of spec.symbols) {
    const read = await readColumns(reader, {
      ...{ symbol, timeframe: spec.timeframe, warmupBars: windowBars * WARMUP_WINDOWS },
      ...{ from: range.start - frame, to: range.end - frame + 1 },
    })
    if (read.columns.time.length === read.warmup) {
      const message = `no ${spec.timeframe} candle of ${symbol} closes in the range: import some, or give another --start and --end`
      throw new DomainError('VALIDATION_ERROR', message, { issues: [{ path: 'symbols', message }] })
    }
    columns.push(read.columns)
    warmup.push(read.warmup)
  }
  const bars = columns.reduce((sum, one) => sum + one.time.length, 0)
  if (bars > MAX_AUDIT_BARS) {
    const message = `${bars} bars are more than an audit plays again and again (${MAX_AUDIT_BARS}): give a --start and an --end that are nearer`
    throw new DomainError('VALIDATION_ERROR', message, { issues: [{ path: 'start_time', message }] })
  }
  return { spec, columns, warmup, windowBars }
}

async function playOn(
  hosts: HostPool,
  { entry, range, spec }: AuditRun,
  { warmup }: AuditSubject,
  play: AuditPlay,
  world: AuditWorld,
  reader: Reader,
): Promise<AuditPlayed> {
  const onCall = async (_kind: string, body: unknown) => {
    const { symbol, timeframe } = body as { symbol: string; timeframe: Timeframe }
    const to = range.end - TIMEFRAME_MS[timeframe] + 1
    const { columns } = await readColumns(reader, { symbol, timeframe, from: 0, to, warmupBars: 0 })
    return { body: null, columns: columnsNamed('c', world.fetched(columns, timeframe)) }
  }
  const columns: Columns = Object.assign({}, ...world.columns.map((one, index) => columnsNamed(String(index), one)))
  const request: AuditRequest = { play, entry, warmup }
  const answer = await hosts.withHost((host) => host.request('audit', request, { columns, onCall }), {
    prefer: spec.run_id,
  })
  return answer.body as AuditPlayed
}
