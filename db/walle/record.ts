/**
 * WallE is Weaver's persistence. This is its one write path (I1): everything an outcome asks for, with its events and
 * their jobs, in the caller's transaction (I2).
 */
import { type Database, DatabaseUnavailable, type Reader, type WriteTx } from '../database.ts'
import { append } from '../events/append.ts'
import type { NewEvent } from '../events/envelope.ts'
import { isConflict } from '../unavailable.ts'
import { type StoredCandles, storeCandles } from './candles.ts'
import { DECISIONS, FILLS, ORDERS, POSITIONS, SKIPS, TRADES } from './columns.ts'
import type { Outcome, Write } from './outcome.ts'
import { swapRebuilt } from './rebuild.ts'
import { COPY_ABOVE_ROWS, insertRows, updateRows, upsertRows } from './record/bulk.ts'
import { candleEvents } from './record/candle_events.ts'
import { recordLive } from './record/live.ts'
import { invalidateRuns, saveRunDataset } from './record/run_data.ts'
import {
  addEquity,
  appendEquity,
  createRun,
  deleteRun,
  dropCheckpoint,
  recordTrial,
  saveBand,
  saveCheckpoint,
  saveResult,
  storeSource,
  updateRun,
} from './record/runs.ts'

/** What only the database could tell. */
export interface Recorded {
  /** One for each write of kind `store_candles`, in their order. */
  candles: StoredCandles[]
}

export async function record(tx: WriteTx, outcome: Outcome): Promise<Recorded> {
  const candles: StoredCandles[] = []
  let sent: Promise<void>[] = []
  for (const write of outcome.writes) {
    if (isOneStatement(write)) {
      const written = recordOne(tx, write)
      // Waited for below: till then its failure is nobody's.
      written.catch(() => {})
      sent.push(written)
      continue
    }
    await Promise.all(sent)
    sent = []
    if (write.kind === 'store_candles') candles.push(await storeCandles(tx, write))
    else await recordOne(tx, write)
  }
  // First what happened, then what tells that it has: a chunk's progress comes after its ticks, a cause before its effect.
  if (outcome.history !== undefined) {
    await Promise.all(sent)
    sent = []
    await append(tx, outcome.history, { route: false })
  }
  const told: NewEvent[] = candles.length === 0 ? [] : await candleEvents(tx, candles, outcome.events[0])
  await Promise.all([...sent, append(tx, [...outcome.events, ...told], { jobs: outcome.jobs ?? [] })])
  return { candles }
}

type OneStatement = Exclude<Write, { kind: 'store_candles' }>

/** Such writes go out one behind the other, without waiting for each other's answers; the server keeps their order. */
function isOneStatement(write: Write): write is OneStatement {
  switch (write.kind) {
    case 'store_candles':
    case 'delete_run':
    case 'swap_rebuilt':
    case 'invalidate_runs':
    case 'save_run_dataset':
      return false
    default:
      return !('rows' in write) || write.rows.length <= COPY_ABOVE_ROWS
  }
}

function recordOne(tx: WriteTx, write: Exclude<Write, { kind: 'store_candles' }>): Promise<void> {
  switch (write.kind) {
    case 'create_run':
      return createRun(tx, write.run)
    case 'update_run':
      return updateRun(tx, write.id, write.changes)
    case 'delete_run':
      return deleteRun(tx, write.id)
    case 'store_source':
      return storeSource(tx, write.source)
    case 'save_checkpoint':
      return saveCheckpoint(tx, write.run_id, write.next_tick, write.state)
    case 'drop_checkpoint':
      return dropCheckpoint(tx, write.run_id)
    case 'insert_orders':
      return insertRows(tx, ORDERS, write.rows)
    case 'update_orders':
      return updateRows(tx, ORDERS, write.rows, ['run_id', 'ordinal', 'client_order_id'])
    case 'insert_fills':
      return insertRows(tx, FILLS, write.rows)
    case 'insert_trades':
      return insertRows(tx, TRADES, write.rows)
    case 'insert_decisions':
      return insertRows(tx, DECISIONS, write.rows)
    case 'save_skips':
      return upsertRows(tx, SKIPS, ['run_id', 'ordinal'], write.rows)
    case 'save_positions':
      return upsertRows(tx, POSITIONS, ['run_id', 'symbol'], write.rows)
    case 'swap_rebuilt':
      return swapRebuilt(tx, write.run_id)
    case 'append_equity':
      return appendEquity(tx, write.block)
    case 'add_equity':
      return addEquity(tx, write)
    case 'save_run_dataset':
      return saveRunDataset(tx, write.row)
    case 'invalidate_runs':
      return invalidateRuns(tx, write.revision)
    case 'save_result':
      return saveResult(tx, write)
    case 'save_band':
      return saveBand(tx, write)
    case 'record_trial':
      return recordTrial(tx, write)
    default:
      return recordLive(tx, write)
  }
}

/** Reads, decides and records in one transaction. The reader may lock rows (`lockRun`): it is the writer's connection. */
export type Recorder = <T>(work: (reader: Reader) => Promise<{ outcome: Outcome; result: T }>) => Promise<T>

/** What Postgres gave up for the sake of another transaction is done once more: a person who asked need not ask again. */
export function createRecorder(db: Pick<Database, 'write'>): Recorder {
  return async (work) => {
    const once = () =>
      db.write(async (tx) => {
        const { outcome, result } = await work(tx)
        await record(tx, outcome)
        return result
      })
    try {
      return await once()
    } catch (error) {
      if (!isConflict(error)) throw error
      return await once().catch((again: unknown) => {
        throw isConflict(again) ? new DatabaseUnavailable(again.message, { code: again.code, cause: again }) : again
      })
    }
  }
}
