/**
 * Alpaca on this machine, as strict as the real one, for tests: its trading and market data REST, its two kinds of
 * streams, and a control surface for all that goes wrong. It has one account, in memory. It can never be mistaken for the
 * real venue: every answer has the header `X-Emulator`, and its account number begins with EMULATOR.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Control, createControl } from './control.ts'
import { notFound, Refusal, rateLimited } from './errors.ts'
import type { Fault } from './faults.ts'
import { answer } from './routes.ts'
import type { Asking } from './socket.ts'
import { acceptSocket } from './socket.ts'

export interface EmulatorOptions {
  mode?: 'paper' | 'live'
  port?: number
  key?: string
  secret?: string
  now?: () => number
  /** How long a connection that was cut still counts as the one there may be. */
  ghostMs?: number
  /** A paid plan: all of SIP. */
  sip?: boolean
  /** Requests a minute, trading and data each. */
  rateLimit?: number
}

/** A request as it arrived. */
export interface Received {
  at: number
  method: string
  path: string
  query: string
  body: unknown
  /** Null: no answer was given. */
  status: number | null
}

export interface Emulator {
  url: string
  key: string
  secret: string
  /** What an adapter reads of the environment to come here. */
  env: Record<string, string>
  /** Every request since the start, control aside. */
  received: Received[]
  /** How many of them had this method and path. */
  count(method: string, path: string | RegExp): number
  control: Control
  close(): Promise<void>
}

export const BANNER = 'weaver test emulator of Alpaca, no real venue'

export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const mode = options.mode ?? 'paper'
  const key = options.key ?? (mode === 'paper' ? 'PKEMULATOR0000000000' : 'AKEMULATOR0000000000')
  const secret = options.secret ?? 'emulator-secret-0000000000000000000000'
  const control = createControl({ ...options, mode, key, secret })
  const received: Received[] = []
  const server = createServer((request, response) => {
    serve(
      { control, received, limit: options.rateLimit ?? 200 },
      request as unknown as Asking,
      response as unknown as ServerResponse,
    ).catch((error) => {
      response.destroy(error as Error)
    })
  })
  server.on('upgrade', (request, raw, head) => {
    const path = new URL(request.url ?? '/', 'http://emulator').pathname
    // Who is refused may be gone before it hears of it.
    raw.on('error', () => raw.destroy())
    const stream = control.streamAt(path)
    if (!stream) return raw.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    // The data streams say it in words, once somebody logs in.
    if (path === '/stream' && stream.isTaken()) {
      return raw.end('HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n')
    }
    stream.accept(acceptSocket(request as unknown as Asking, raw, head))
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const prefix = `ALPACA_${mode.toUpperCase()}`
  return {
    url,
    key,
    secret,
    env: {
      [`${prefix}_API_KEY`]: key,
      [`${prefix}_API_SECRET`]: secret,
      [`${prefix}_BASE_URL`]: url,
      ALPACA_DATA_BASE_URL: url,
    },
    received,
    count: (method, path) =>
      received.filter(
        (each) => each.method === method && (typeof path === 'string' ? each.path === path : path.test(each.path)),
      ).length,
    control,
    async close() {
      control.streams.cut({ ghost: false })
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

interface Desk {
  control: Control
  received: Received[]
  limit: number
}

async function serve(desk: Desk, request: Asking, response: ServerResponse): Promise<void> {
  const { control } = desk
  const url = new URL(request.url ?? '/', 'http://emulator')
  const text = await bodyOf(request)
  response.setHeader('X-Emulator', BANNER)
  response.setHeader('Content-Type', 'application/json; charset=UTF-8')
  if (url.pathname === '/_control') return steer(desk, request, response, text)
  const method = request.method ?? 'GET'
  const entry: Received = {
    at: control.now(),
    method,
    path: url.pathname,
    query: url.search.slice(1),
    body: parsed(text),
    status: null,
  }
  desk.received.push(entry)
  const { arrives, answers } = control.faults.delayOf(method, url.pathname)
  await arrives
  setHeaders(desk, url.pathname, response)
  const fault = control.faults.take(method, url.pathname)
  if (fault !== null && !isAfter(fault)) return spoil(response, fault, entry)
  const { status, body } = answered(desk, request, url, entry)
  entry.status = status
  await answers
  if (fault !== null) return spoil(response, fault, entry, JSON.stringify(body))
  response.statusCode = status
  response.end(body === null ? undefined : JSON.stringify(body))
}

const isAfter = (fault: Fault) => typeof fault === 'string' && fault.startsWith('accept_then_')

function answered(
  { control, received, limit }: Desk,
  request: Asking,
  url: URL,
  entry: Received,
): { status: number; body: unknown } {
  try {
    const isOpenToAll = url.pathname.startsWith('/v1beta3/crypto/')
    if (!isOpenToAll) control.checkKeys(request.headers, url.pathname.startsWith('/v2/stocks/'))
    if (recent(received, entry) > limit) throw rateLimited()
    const asked = { method: entry.method, path: url.pathname, query: url.searchParams, body: entry.body }
    return answer(control.side, asked)
  } catch (error) {
    if (error instanceof Refusal) return { status: error.status, body: error.body }
    throw error
  }
}

const isData = (path: string) => path.startsWith('/v2/stocks/') || path.startsWith('/v1beta3/')

function recent(received: readonly Received[], { at, path }: { at: number; path: string }): number {
  return received.filter((each) => each.at > at - 60_000 && isData(each.path) === isData(path)).length
}

function setHeaders({ control, received, limit }: Desk, path: string, response: ServerResponse): void {
  const at = control.now()
  response.setHeader('Date', new Date(at).toUTCString())
  response.setHeader('X-Request-ID', control.newRequestId())
  response.setHeader('X-RateLimit-Limit', limit)
  response.setHeader('X-RateLimit-Remaining', Math.max(0, limit - recent(received, { at, path })))
  response.setHeader('X-RateLimit-Reset', Math.ceil(at / 1000) + 1)
}

const HTML =
  '<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body><center><h1>504 Gateway Time-out</h1></center></body>\r\n</html>'

function spoil(response: ServerResponse, fault: Fault, entry: Received, body = '{"code":0}') {
  const write = (status: number, text: string, type = 'text/html') => {
    entry.status = status
    response.statusCode = status
    response.setHeader('Content-Type', type)
    response.end(text)
  }
  if (typeof fault !== 'string') return write(fault.status, JSON.stringify(fault.body), 'application/json')
  switch (fault.replace('accept_then_', '')) {
    case '504':
      return write(504, HTML)
    case '503_html':
      return write(503, HTML.replaceAll('504 Gateway Time-out', '503 Service Unavailable'))
    case '500':
      return write(
        500,
        JSON.stringify({ code: 50010000, message: 'internal server error occurred' }),
        'application/json',
      )
    case '429':
      return write(429, JSON.stringify(rateLimited().body), 'application/json')
    case 'reset':
      entry.status = null
      response.destroy()
      return
    case 'cut':
      response.setHeader('Content-Length', Buffer.byteLength(body))
      response.write(body.slice(0, body.length / 2), () => response.destroy())
      return
    // `hang`: whoever waits for the answer waits for ever.
    default:
      entry.status = null
  }
}

/** GET: what there is. POST {path: 'fill', args: […]}: the control's function of that name. */
async function steer(
  { control, received }: Desk,
  request: Asking,
  response: ServerResponse,
  text: string,
): Promise<void> {
  if (request.method !== 'POST') {
    response.end(JSON.stringify({ banner: BANNER, ...control.state(), received }))
    return
  }
  const { path, args = [] } = (parsed(text) ?? {}) as { path?: string; args?: unknown[] }
  try {
    const names = String(path).split('.')
    const owner = names
      .slice(0, -1)
      .reduce<unknown>((object, name) => (object as Record<string, unknown>)?.[name], control)
    const call = (owner as Record<string, unknown> | undefined)?.[names.at(-1) ?? '']
    if (typeof call !== 'function') throw notFound(`no control ${path}`)
    response.end(JSON.stringify({ result: call.apply(owner, args) ?? null }))
  } catch (error) {
    response.statusCode = 400
    response.end(JSON.stringify({ message: error instanceof Error ? error.message : String(error) }))
  }
}

async function bodyOf(request: Asking): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function parsed(text: string): unknown {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
