import { z } from 'zod'
import { evt } from './kinds.ts'

export const systemEvents = {
  'system.Started': evt({ version: z.string() }),
  'system.Stopping': evt({ version: z.string() }),
} as const
