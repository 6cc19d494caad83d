/** Who may ask: host names, addresses, origins, the key; and what every answer tells the browser to refuse. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context, MiddlewareHandler } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { cors } from 'hono/cors'
import { DomainError } from '../jobs/glados/errors.ts'
import { CORRELATION_HEADER } from './correlation.ts'
import type { ApiConfig } from './dependencies.ts'
import { clientOf } from './proxies.ts'
import type { ApiEnv } from './router.ts'
import { DOCS_PATHS } from './static.ts'

type Middleware = MiddlewareHandler<ApiEnv>

const SESSION_COOKIE = 'weaver_session'
export const SESSION_SECONDS = 12 * 3600
const READING = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Paths besides the API that tell of the system; all others are Haro's files, which hold no secrets. */
const GUARDED = /^\/(api|readyz|metrics|openapi\.json|docs)(\/|$)/

function hostOf(c: Context<ApiEnv>): string {
  return c.req.header('host') ?? new URL(c.req.url).host
}

function hostName(host: string): string | null {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : null
}

/** A page elsewhere can point its own name at this machine (DNS rebinding): only names of this machine are served. */
export function checkHost(config: ApiConfig): Middleware {
  const { hostAllowed, apiKey } = config
  return async (c, next) => {
    const name = hostName(hostOf(c))
    // A proxy has a name of its own. With a key such a page has neither that nor a session under its name.
    const proxied = apiKey !== null && clientOf(c, config).via === 'trusted'
    if (hostAllowed && !proxied && (name === null || !hostAllowed(name))) {
      throw new DomainError('FORBIDDEN', 'the Host of the request is not a name of this machine: use 127.0.0.1')
    }
    await next()
  }
}

/** Without a key only this machine may ask: whom a proxy on it lets in is not this machine. */
export function checkAddress(config: ApiConfig): Middleware {
  const { clientAllowed, apiKey } = config
  return async (c, next) => {
    const { address, via } = clientOf(c, config)
    if (apiKey === null && via === 'stranger') {
      throw new DomainError(
        'FORBIDDEN',
        'this came through a proxy, and without WEAVER_API_KEY Weaver serves this machine only: set a key, ' +
          'or name the proxy in WEAVER_TRUSTED_PROXIES if it asks who may come in',
      )
    }
    if (clientAllowed) {
      if (address === undefined || !clientAllowed(address)) {
        throw new DomainError('FORBIDDEN', 'this address may not call Weaver: WEAVER_ALLOWED_IPS lists those that may')
      }
    }
    await next()
  }
}

/** A browser sends what needs no body from any page, with the cookie or on loopback without a key: ask where from. */
export function checkOrigin({ corsOrigins }: ApiConfig): Middleware {
  return async (c, next) => {
    const origin = c.req.header('origin')
    if (origin !== undefined && !READING.has(c.req.method) && !corsOrigins.includes(origin)) {
      if (!URL.canParse(origin) || new URL(origin).host !== hostOf(c)) {
        throw new DomainError(
          'FORBIDDEN',
          'a page of another origin may not do this: WEAVER_CORS_ORIGINS lists those that may',
        )
      }
    }
    await next()
  }
}

export function allowOrigins({ corsOrigins }: ApiConfig): Middleware {
  const allow = cors({
    origin: [...corsOrigins],
    allowHeaders: ['Content-Type', 'X-API-Key', CORRELATION_HEADER, 'Last-Event-ID'],
    allowMethods: ['GET', 'POST', 'PATCH', 'DELETE'],
    exposeHeaders: [CORRELATION_HEADER],
    credentials: true,
    maxAge: 600,
  })
  return async (c, next) => {
    const early = await allow(c, next)
    // An early answer gets the headers of `c.res` as well.
    for (const { headers } of [c.res, ...(early ? [early] : [])]) {
      if (!headers.has('Access-Control-Allow-Origin')) headers.delete('Access-Control-Allow-Credentials')
    }
    return early
  }
}

const digest = (text: string, key: string): Buffer => createHmac('sha256', key).update(text).digest()

/** Both are hashed first, so that neither length nor content tells by time. */
function sameText(a: string, b: string, key: string): boolean {
  return timingSafeEqual(digest(a, key), digest(b, key))
}

export interface Guard {
  middleware: Middleware
  /** Gives the browser a session for the right key, else throws. */
  openSession(c: Context<ApiEnv>, given: string | undefined): void
}

export function createGuard(config: ApiConfig, now: () => number): Guard {
  const key = config.apiKey?.reveal() ?? null
  const sign = (key: string, expires: string) => digest(`session ${expires}`, key).toString('base64url')

  function hasSession(c: Context<ApiEnv>, key: string): boolean {
    const [expires = '', signature = ''] = (getCookie(c, SESSION_COOKIE) ?? '').split('.')
    return /^\d{1,15}$/.test(expires) && Number(expires) > now() && sameText(signature, sign(key, expires), key)
  }

  return {
    async middleware(c, next) {
      const { path } = c.req
      if (key !== null && GUARDED.test(path) && path !== '/api/v1/session') {
        const given = c.req.header('X-API-Key')
        const known = given === undefined ? hasSession(c, key) : sameText(given, key, key)
        if (!known) {
          throw new DomainError(
            'UNAUTHORIZED',
            given === undefined ? 'this needs the header X-API-Key' : 'the key in X-API-Key is not the right one',
          )
        }
      }
      await next()
    },
    openSession(c, given) {
      if (key === null) return
      if (given === undefined || !sameText(given, key, key))
        throw new DomainError('UNAUTHORIZED', 'the key is not the right one')
      const expires = String(now() + SESSION_SECONDS * 1000)
      setCookie(c, SESSION_COOKIE, `${expires}.${sign(key, expires)}`, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        maxAge: SESSION_SECONDS,
        secure: clientOf(c, config).https,
      })
    },
  }
}

const POLICY = {
  'default-src': "'self'",
  'connect-src': "'self'",
  'img-src': "'self' data:",
  'style-src': "'self'",
  'style-src-attr': "'unsafe-inline'",
  'object-src': "'none'",
  'base-uri': "'self'",
  'form-action': "'self'",
  'frame-ancestors': "'none'",
}

/** `scriptHashes`: of the inline scripts of Haro's page. The docs page is Swagger's, which writes style elements. */
export function secureHeaders(scriptHashes: () => readonly string[]): Middleware {
  return async (c, next) => {
    await next()
    const { headers } = c.res
    const isDocs = DOCS_PATHS.includes(c.req.path)
    const policy: Record<string, string> = {
      ...POLICY,
      'script-src': ["'self'", ...scriptHashes().map((hash) => `'${hash}'`)].join(' '),
      ...(isDocs ? { 'style-src': "'self' 'unsafe-inline'" } : {}),
    }
    const text = Object.entries(policy).map((entry) => entry.join(' '))
    // A report has a stricter one of its own.
    if (!headers.has('Content-Security-Policy')) headers.set('Content-Security-Policy', text.join('; '))
    headers.set('X-Content-Type-Options', 'nosniff')
    headers.set('X-Frame-Options', 'DENY')
    headers.set('Referrer-Policy', 'no-referrer')
    headers.set('Cross-Origin-Opener-Policy', 'same-origin')
    if (c.req.path.startsWith('/api/') && !headers.has('Cache-Control')) headers.set('Cache-Control', 'no-store')
  }
}
