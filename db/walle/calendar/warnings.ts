/** What a report on a series says to a person. Pure. */
import { CALENDAR_YEARS } from './calendar.ts'
import type { Findings, SeriesReport } from './inspect.ts'

const iso = (time: number): string => new Date(time).toISOString()

/** One line a kind of finding; `series` names what it is about, such as `AAPL 1d`. */
export function warningsOf(series: string, report: SeriesReport, adjustment: string): string[] {
  const warnings: string[] = []
  const { gaps, closedDays, zeroVolume, jumps, splits } = report
  if (gaps.longest !== null) {
    const { first, last, bars } = gaps.longest
    warnings.push(
      `${series}: ${counted(gaps.missing, 'bar')} missing in ${counted(gaps.count, 'gap')}, the longest ${counted(bars, 'bar')} from ${iso(first)} to ${iso(last)}`,
    )
  }
  if (gaps.unknown > 0) {
    warnings.push(
      `${series}: ${counted(gaps.unknown, 'bar')} outside of the exchange calendar (${CALENDAR_YEARS.first} to ${CALENDAR_YEARS.last}): gaps there are not known, and day orders end with the last bar of their date`,
    )
  }
  if (closedDays.count > 0) {
    warnings.push(
      `${series}: ${counted(closedDays.count, 'bar')} on days on which the exchange was closed, ${listed(closedDays, false)}: is it an equity, and are its times those of the right zone?`,
    )
  }
  if (zeroVolume.count > 0) {
    warnings.push(`${series}: ${counted(zeroVolume.count, 'bar')} without volume, ${listed(zeroVolume, false)}`)
  }
  if (jumps.count > 0) warnings.push(`${series}: ${counted(jumps.count, 'absurd jump')}, ${listed(jumps, true)}`)
  if (splits.count > 0) {
    warnings.push(
      `${series}: ${counted(splits.count, 'overnight jump')} like a split in candles that are said to be ${adjustment}, ${listed(splits, true)}: a position held over it has a profit or loss that nobody made`,
    )
  }
  return warnings
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function listed({ count, listed }: Findings, withWhat: boolean): string {
  const shown = listed.map(({ time, what }) => (withWhat ? `${iso(time)} (${what})` : iso(time)))
  return `${shown.join(', ')}${count > shown.length ? `, and ${count - shown.length} more` : ''}`
}
