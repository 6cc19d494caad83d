/**
 * What a failed call means. The code of an answer does not classify, its status and words do. What matters of a call that
 * changes something is whether it can have been done: only an answer that says so, or a connection that never came about,
 * is sure; all else is `unclear`.
 */
import { ApiError, FetchError } from '@alpacahq/alpaca-trade-api/rest'
import { VenueError, type VenueErrorKind } from '../../venue.ts'

export interface Failure {
  kind: VenueErrorKind
  /** Null: there was no answer. */
  status: number | null
  /** In the venue's words, where it had any. */
  message: string
  retryAfterMs: number | null
  /** The answer was Alpaca's own, with words, not that of a gateway before it. */
  isSpoken: boolean
  /** Of the answer, for whoever asks Alpaca about it: it cannot be looked up later. */
  requestId?: string | undefined
  cause: unknown
}

/** For Node (undici) and Deno: it never came to sending. A host can also become unreachable while an answer is waited for. */
const NEVER_SENT =
  /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|connect E(HOST|NET)UNREACH|UND_ERR_CONNECT_TIMEOUT|client error \(Connect\)|dns error|Connection refused/
const LONGEST_MESSAGE = 500
/** What else an answer has to say of a refusal, beside its message. */
const EXTRAS =
  'reject_reason existing_order_id available balance existing_qty held_for_orders related_orders buying_power cost_basis'

/** `changes`: the call was to change something at the venue. */
export async function failureOf(error: unknown, changes: boolean): Promise<Failure> {
  if (error instanceof VenueError) {
    const { kind, message, retryAfterMs } = error
    return { kind, status: null, message, retryAfterMs, isSpoken: false, cause: error.cause }
  }
  if (error instanceof ApiError) return answered(error, changes)
  const words = wordsOf(error)
  const kind = changes && !NEVER_SENT.test(words) ? 'unclear' : 'unavailable'
  return { kind, status: null, message: words, retryAfterMs: null, isSpoken: false, cause: error }
}

async function answered(error: ApiError, changes: boolean): Promise<Failure> {
  const { status, requestId } = error
  const isSpoken = !/^\s*</.test(error.message) && !error.message.startsWith('Response returned an error code')
  const spoken = isSpoken ? `${error.message}${await extrasOf(error)}`.slice(0, LONGEST_MESSAGE) : null
  const message = spoken ?? `HTTP ${status} without words of Alpaca's`
  const retryAfterMs = status === 429 ? (error.retryAfterMs ?? null) : null
  return { kind: kindOf(error, changes, isSpoken), status, message, retryAfterMs, isSpoken, requestId, cause: null }
}

/** The SDK keeps code and message only, and leaves the answer's body to be read. */
async function extrasOf({ response, message }: ApiError): Promise<string> {
  const body: unknown = await response.json().catch(() => null)
  if (typeof body !== 'object' || body === null) return ''
  const said = EXTRAS.split(' ').flatMap((name) => {
    const value = (body as Record<string, unknown>)[name]
    if (value === undefined || value === null || typeof value === 'boolean') return []
    const words = `${name.replaceAll('_', ' ')}: ${Array.isArray(value) ? value.join(' ') : String(value)}`
    return message.includes(words) ? [] : [words]
  })
  return said.map((words) => `; ${words}`).join('')
}

function kindOf({ status, code, message }: ApiError, changes: boolean, isSpoken: boolean): VenueErrorKind {
  if (status === 429) return 'rate_limited'
  if (status === 401) return 'unauthorised'
  // A wrong key, or a paper key at the live host: the only 403 without a code.
  if (status === 403 && isSpoken && code === undefined && /forbidden|unauthori[sz]ed/i.test(message))
    return 'unauthorised'
  if (status >= 500 || status === 408) return changes ? 'unclear' : 'unavailable'
  if (status === 404 && isSpoken) return 'not_found'
  // Of a refusal whose words did not arrive nobody knows what it refused.
  if (!isSpoken) return changes ? 'unclear' : 'unavailable'
  return 'refused'
}

const NOT_IN_PLAN = /subscription does not permit/

export function venueError({ kind, status, message, retryAfterMs, cause }: Failure, what: string): VenueError {
  const hint =
    kind === 'unauthorised'
      ? ': keys of paper accounts work at the paper host only, live ones at the live host'
      : NOT_IN_PLAN.test(message)
        ? ': with a plan that does not have it, set ALPACA_DATA_FEED=iex'
        : ''
  const words = `Alpaca, ${what}: ${status === null ? '' : `${status} `}${message}${hint}`
  return new VenueError(kind, words, { retryAfterMs, ...(cause == null ? {} : { cause }) })
}

/** The messages of an error and of what caused it: none of them holds a header. */
function wordsOf(error: unknown): string {
  const parts: string[] = []
  for (let each: unknown = error; each instanceof Error && parts.length < 5; each = each.cause) {
    const code = (each as { code?: unknown }).code
    if (!(each instanceof FetchError)) parts.push(typeof code === 'string' ? `${each.message} (${code})` : each.message)
    if (each instanceof AggregateError) for (const one of each.errors.slice(0, 2)) parts.push(wordsOf(one))
  }
  return (parts.length === 0 ? String(error) : parts.join(': ')).slice(0, LONGEST_MESSAGE)
}
