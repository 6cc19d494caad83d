/** In the place of `jobs/control.ts` in a process of a world that lives faster. */
import { openControl as open } from '../../jobs/control.ts'
import { FAST_ORIGIN, fastDays } from './fast_days.ts'

export * from '../../jobs/control.ts'

const time = fastDays(Number(process.env[FAST_ORIGIN]))

export const openControl: typeof open = (system, options) => open(system, { ...options, time })
