/** `weaver import`: candles from a file; says what was read, stored and left out, line by line. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Adjustment } from '../../db/walle/import/adjustment.ts'
import type { Timeframe } from '../../strategies/api.ts'
import { importInto } from '../control.ts'
import { DomainError } from '../glados/errors.ts'
import type { ImportReport } from '../glados/import_candles.ts'
import { systemThrottle, waitWhileThrottled } from '../throttle.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

/** For consumers of the log that are far behind. */
const LONGEST_WAIT_MS = 60_000

export interface ImportOptions {
  symbol: string
  timeframe: Timeframe
  strict: boolean
  adjustment?: Adjustment
  feed?: string
}

export async function importCommand(context: CliContext, file: string, options: ImportOptions): Promise<number> {
  await mustBeFile(file)
  return withSystem(context, 'import', async (system) => {
    try {
      await waitWhileThrottled(systemThrottle(system), { longestMs: LONGEST_WAIT_MS, note: context.note })
      const report = await importInto(system, {
        ...options,
        source: createReadStream(file),
        format: file.toLowerCase().endsWith('.parquet') ? 'parquet' : 'csv',
      })
      tell(context, file, report)
      return 0
    } catch (error) {
      if (error instanceof DomainError) throw new CliError(`${file}: ${error.message}`)
      throw error
    }
  })
}

async function mustBeFile(file: string): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`cannot read ${file}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`)
  })
  if (!found.isFile()) throw new CliError(`cannot read ${file}: it is not a file`)
}

function tell(context: CliContext, file: string, report: ImportReport): void {
  const { symbol, timeframe, read, stored, revised, unchanged, rejected, rejected_count, gaps, first, last } = report
  context.print(`${file}: ${read} rows read, ${rejected_count} rejected`)
  context.print(
    `${symbol} ${timeframe}: ${stored} stored, ${revised} revised, ${unchanged} unchanged, ${first} to ${last}`,
  )
  if (gaps.longest !== null) {
    context.print(`gaps: ${gaps.count}, ${gaps.missing} bars missing, the longest ${gaps.longest.bars} bars`)
  } else {
    context.print('gaps: none')
  }
  const { count, ids } = report.invalidated
  if (count > 0)
    context.print(`${count} runs used bars that changed: ${ids.join(', ')}${count > ids.length ? ', …' : ''}`)
  for (const warning of report.warnings) context.note(`warning: ${warning}`)
  for (const { line, reason } of rejected) context.note(`line ${line}: ${reason}`)
  if (rejected_count > rejected.length) context.note(`and ${rejected_count - rejected.length} more bad rows`)
}
