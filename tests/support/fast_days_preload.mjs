/** Preloaded into a Weaver process whose paper runs are to live faster: whoever opens its control gets `fast_control.ts`. */
import { registerHooks } from 'node:module'

const FAST = new URL('./fast_control.ts', import.meta.url).href

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    const isControl = found.url.endsWith('/jobs/control.ts') && context.parentURL !== FAST
    return isControl ? { ...found, url: FAST } : found
  },
})
