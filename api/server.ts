/** Listens. The only file here that knows of sockets. */
import { createServer } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Config } from '../jobs/config/config.ts'
import { isLoopback } from '../jobs/config/values.ts'
import type { Api } from './app.ts'
import type { ApiConfig } from './dependencies.ts'

export interface RunningServer {
  url: string
  close(): Promise<void>
}

/** How long requests under way may take to end when the server stops. */
const GRACE_MS = 3_000
const SWEEP_MS = 20
/** A request must have arrived within this; answers may take as long as they take. */
const REQUEST_TIMEOUT_MS = 300_000

export async function startServer({
  api,
  host,
  port,
  graceMs = GRACE_MS,
}: {
  api: Api
  host: string
  port: number
  graceMs?: number
}): Promise<RunningServer> {
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, keepAlive: true },
    getRequestListener(api.app.fetch, { overrideGlobalObjects: false }),
  )
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(port, host, listening.resolve)
  try {
    await listening.promise
  } catch (error) {
    throw explain(error, host, port)
  }
  const address = server.address()
  const bound = typeof address === 'object' && address ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      await api.close()
      // A connection becomes idle when its last answer is through, which nothing tells of.
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
      const timer = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearInterval(sweep)
      clearTimeout(timer)
    },
  }
}

function explain(error: unknown, host: string, port: number): Error {
  const code = error instanceof Error && 'code' in error ? error.code : ''
  if (code === 'EADDRINUSE') {
    return new Error(`port ${port} on ${host} is in use: stop what listens there, or set WEAVER_PORT to another port`)
  }
  if (code === 'EACCES')
    return new Error(`port ${port} may not be used by this user: set WEAVER_PORT to one above 1023`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new Error(`${host} is not an address of this machine: set WEAVER_HOST to one that is`)
  }
  return error instanceof Error ? error : new Error(String(error))
}

/** The part of the configuration that HTTP goes by. */
export function apiConfigOf(config: Config): ApiConfig {
  return {
    apiKey: config.apiKey,
    hostAllowed: isLoopback(config.host) ? (name) => isLoopback(name.replace(/^\[(.*)\]$/, '$1')) : null,
    clientAllowed: config.allowedIps === null ? null : addressFilter(config.allowedIps),
    proxyTrusted: config.trustedProxies.length === 0 ? null : addressFilter(config.trustedProxies),
    corsOrigins: config.corsOrigins,
    timezone: config.timezone,
  }
}

function addressFilter(networks: readonly string[]): (address: string) => boolean {
  const allowed = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) allowed.addAddress(address, family)
    else allowed.addSubnet(address, Number(bits), family)
  }
  return (address) => {
    // A socket that listens on both families shows IPv4 as IPv6.
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    const family = isIP(plain)
    return family !== 0 && allowed.check(plain, family === 6 ? 'ipv6' : 'ipv4')
  }
}
