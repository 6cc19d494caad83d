/**
 * The one list of what must not leave the process: the values it was given, in every spelling in which they travel; the
 * names under which others carry theirs; the shapes in which a password stands in a text. Whatever leaves (log, event,
 * answer, terminal, stored error) goes through here.
 */

export const REDACTED = '[redacted]'

/** Shorter values, and passwords that are no secret (the user's own name), are hidden only where they stand as one. */
const SHORTEST_VALUE = 8
/** Of objects within objects, and of an error's causes. */
const DEEPEST = 16

/** What is sent or stored under these names is a secret, whoever's it is. */
const NAMES =
  /^(password|passwd|pgpassword|authorization|proxy-authorization|cookie|set-cookie|x-api-key|apca-api-(key-id|secret-key)|database_?url|connection_?string|api_?(key|secret)|webhook_?(secret|url)|bot_?token|smtp_?url|heartbeat_?url|(weaver|alpaca)_\w*(key|secret|token|(webhook|smtp|heartbeat)_url))$/i

const HEADERS = 'authorization|cookie|set-cookie|x-api-key|apca-api-key-id|apca-api-secret-key'
/** Each keeps what stands before the secret as $1. */
const SHAPES = [
  // scheme://user:password@host
  /(:\/\/[^\s:/@"'\\]*:)[^\s/"'\\]+(?=@)/g,
  // password=secret, as libpq and query strings write it
  /\b((?:password|passwd|pgpassword|weaver_session|(?:weaver|alpaca)_\w*(?:key|secret|token|(?:webhook|smtp|heartbeat)_url))=)(?!\[redacted\])(?:'[^']*'|[^\s&,;"'\\]+)/gi,
  // "password": "secret", also as JSON within JSON
  /((?:password|passwd|pgpassword)\\*"\s*:\s*\\*")[^"\\]+/gi,
  // Header: secret
  new RegExp(
    `((?:^|[^\\w-])(?:proxy-)?(?:${HEADERS})\\\\*["']?\\s*:\\s*\\\\*["']?)(?!\\[redacted\\])[^\\s"'\\\\][^\\r\\n"'\\\\]*`,
    'gi',
  ),
]
/** Without this a text has none of the shapes, and no name of the list: most have not. */
const HINT =
  /:\/\/[^\s/]*@|passw|cookie|authorization|api[-_]?key|secret|session=|bot_?token|_token=|(database|webhook|smtp|heartbeat)_?url|connection_?string/i

const values = new Set<string>()
let pattern: RegExp | null = null

/** A value that no log, error, event or answer shows by accident: only `reveal()` gives it, and it is on the list. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
    protect(value)
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED
  }

  [Symbol.for('Deno.customInspect')](): string {
    return REDACTED
  }
}

/** Puts a value on the list, and the password of one that is an address. */
export function protect(value: string): void {
  add(value)
  if (!URL.canParse(value)) return
  const { password, username, pathname } = new URL(value)
  const plain = decoded(password)
  if (plain !== decoded(username) && plain !== pathname.slice(1)) add(plain)
}

function add(value: string): void {
  if (value.length < SHORTEST_VALUE) return
  for (const spelling of spellingsOf(value)) values.add(spelling)
  // The longest first: a value may be part of another's spelling.
  const longestFirst = [...values].sort((a, b) => b.length - a.length)
  pattern = new RegExp(longestFirst.map(literal).join('|'), 'g')
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

/** As it is; in addresses and forms; in JSON and in JSON within JSON; as base64, also in the midst of a longer one. */
function spellingsOf(value: string): Set<string> {
  const address = new URL('x://host')
  address.password = value
  const encoded = encodeURIComponent(value.toWellFormed())
  const inForms = new URLSearchParams({ '': value }).toString().slice(1)
  const inAddresses = [
    ...[value, decoded(value), address.password, inForms, encoded],
    encoded.replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
  ]
  const plain = inAddresses.flatMap((text) => [text, text.replace(/%[0-9A-F]{2}/g, (sign) => sign.toLowerCase())])
  const quoted = plain.map(quote)
  const inBase64 = [0, 1, 2].flatMap((offset) => {
    const standard = base64At(value, offset)
    return [standard, standard.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const hex = Buffer.from(value).toString('hex')
  return new Set([...plain, ...quoted, ...quoted.map(quote), ...inBase64, hex].filter((text) => text.length > 0))
}

const quote = (text: string): string => JSON.stringify(text).slice(1, -1)

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The characters of a base64 text that come from the value alone, when it stands `offset` bytes into a group of three. */
function base64At(value: string, offset: number): string {
  const bytes = Buffer.from(value)
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  const inner = text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
  return inner.length >= SHORTEST_VALUE ? inner : ''
}

/** A value is on the list, or what is here looks as if it held a secret. */
function isSuspect(text: string): boolean {
  if (HINT.test(text)) return true
  if (pattern === null) return false
  pattern.lastIndex = 0
  return pattern.test(text)
}

export function redact(text: string): string {
  if (!isSuspect(text)) return text
  let clean = pattern === null ? text : text.replace(pattern, REDACTED)
  for (const shape of SHAPES) clean = clean.replace(shape, `$1${REDACTED}`)
  return clean
}

/** JSON in, JSON out. Only its texts are looked at: digits of a key may stand in a number. */
export function redactJson(json: string): string {
  return isSuspect(json) ? JSON.stringify(redactValue(JSON.parse(json))) : json
}

/** A plain value: what JSON can hold. */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEEPEST) return REDACTED
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1))
  const entries = Object.entries(value).map(([key, inner]) => [redact(key), redactEntry(key, inner, depth)] as const)
  return Object.fromEntries(entries)
}

function redactEntry(key: string, inner: unknown, depth: number): unknown {
  const isPresent = inner !== null && inner !== undefined && inner !== ''
  return isPresent && NAMES.test(key) && typeof inner !== 'boolean' ? REDACTED : redactValue(inner, depth + 1)
}

/** The error itself when it tells nothing; else one that tells the same without it. */
export function redactError(error: unknown): unknown {
  if (typeof error === 'string') return redact(error)
  if (!(error instanceof Error)) return error
  const message = redact(error.message)
  const stack = redact(error.stack ?? '')
  if (message === error.message && stack === (error.stack ?? '')) return error
  const clean = new Error(message)
  clean.name = error.name
  clean.stack = stack
  return clean
}
