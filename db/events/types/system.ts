import { z } from 'zod'
import { evt } from './kinds.ts'

export const systemEvents = {
  'system.Started': evt({ version: z.string() }),
  'system.Stopping': evt({ version: z.string() }),
  /**
   * No order leaves from here on but cancels: of the envelope's run, or without one of the whole system. `by`: who asked,
   * or the rule that was broken.
   */
  'system.Halted': evt({ rule: z.string(), reason: z.string().nullable(), by: z.string() }),
  'system.Resumed': evt({ by: z.string() }),
  /** Something that a person should look at, and that no run stands for. */
  'system.Error': evt({ part: z.string(), message: z.string() }),
} as const
