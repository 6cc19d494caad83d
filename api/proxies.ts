/** Who asks, where proxies stand in between: only the word of one that is trusted counts. */
import type { Context } from 'hono'
import type { ApiConfig } from './dependencies.ts'
import type { ApiEnv } from './router.ts'

export interface Client {
  address: string | undefined
  https: boolean
  /** Through a proxy: one whose word is taken, or any that says of itself that it is one. */
  via: 'trusted' | 'stranger' | null
}

const SIGNS = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip']

export function clientOf(c: Context<ApiEnv>, { proxyTrusted }: Pick<ApiConfig, 'proxyTrusted'>): Client {
  const peer = c.env?.incoming?.socket.remoteAddress
  const here = { address: peer, https: new URL(c.req.url).protocol === 'https:' }
  if (!SIGNS.some((name) => c.req.header(name) !== undefined)) return { ...here, via: null }
  if (peer === undefined || !proxyTrusted?.(peer)) return { ...here, via: 'stranger' }
  const [proto = ''] = partsOf(c.req.header('x-forwarded-proto'))
  const chain = partsOf(c.req.header('x-forwarded-for')).map(withoutPort)
  return {
    // Each proxy adds whom it heard at the right: what stands left of the first stranger, the stranger may have made up.
    address: chain.findLast((address) => !proxyTrusted(address)) ?? chain[0] ?? peer,
    https: proto.toLowerCase() === 'https',
    via: 'trusted',
  }
}

const partsOf = (header: string | undefined): string[] =>
  (header ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

/** `10.0.0.5:4711`, `[::1]:4711`, `[::1]`. */
function withoutPort(text: string): string {
  return text.replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1').replace(/^\[([^\]]+)\](?::\d+)?$/, '$1')
}
