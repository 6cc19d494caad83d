/** Tells a database that is away, or cannot answer now, from one that refuses what it was asked. */
import { DatabaseUnavailable } from './database.ts'

/**
 * SQLSTATE: lost connections, no resources, shutting down or starting, a database that takes no connections, a
 * statement that took too long. Then what the socket says.
 */
const CODES =
  /^(08...|53...|57P0.|55000|57014|ECONNREFUSED|ECONNRESET|ECONNABORTED|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/

/** The driver's own errors have no code. */
const MESSAGES = [
  'Connection terminated',
  'Client has encountered a connection error',
  'Client was closed',
  'Query read timeout',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'Cannot use a pool after calling end',
]

/** Causes that are followed at most. */
const DEPTH = 8

/** The error as it is, or as DatabaseUnavailable when the database is why. */
export function namedError(error: unknown): unknown {
  if (error instanceof DatabaseUnavailable) return error
  let cause: unknown = error
  for (let depth = 0; depth < DEPTH && cause instanceof Error; depth++) {
    const code = 'code' in cause ? String(cause.code) : ''
    const { message } = cause
    if (CODES.test(code) || MESSAGES.some((start) => message.startsWith(start))) {
      // Of a name with several addresses the message is empty.
      return new DatabaseUnavailable(message || code, { code, cause: error })
    }
    cause = cause.cause
  }
  return error
}

const STATEMENT_TIMED_OUT = '57014'

/** Whatever was tried may say so in its own words, with the database's as the cause; a statement that took too long is its own doing. */
export function isOutage(error: unknown): boolean {
  let cause = error
  for (let depth = 0; depth < DEPTH && cause instanceof Error; depth++) {
    if (cause instanceof DatabaseUnavailable) return cause.code !== STATEMENT_TIMED_OUT
    cause = cause.cause
  }
  return false
}

/** A transaction that was given up for the sake of others, and left nothing behind: a deadlock, or one that cannot be in their order. */
export function isConflict(error: unknown): error is Error & { code: string } {
  return error instanceof Error && 'code' in error && (error.code === '40P01' || error.code === '40001')
}

/** What a statement gives, and its error by name. */
export async function named<T>(asking: Promise<T>): Promise<T> {
  try {
    return await asking
  } catch (error) {
    throw namedError(error)
  }
}
