/** What a command or a request can be refused for, by the code that its answer carries. */

export type ErrorCode =
  | 'VALIDATION_ERROR'
  | 'BAD_REQUEST'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'RATE_LIMITED'
  | 'RUN_NOT_STARTABLE'
  | 'RUN_NOT_STOPPABLE'
  | 'INVALID_RUN_MODE'
  | 'PAYLOAD_TOO_LARGE'
  | 'INTERNAL_ERROR'
  | 'SERVICE_UNAVAILABLE'

/** A refusal whose message and details are meant for the one who asked. */
export class DomainError extends Error {
  override readonly name = 'DomainError'
  readonly code: ErrorCode
  readonly details: unknown

  constructor(code: ErrorCode, message: string, details: unknown = {}) {
    super(message)
    this.code = code
    this.details = details
  }
}
