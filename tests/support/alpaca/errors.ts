/** What the venue answers where it refuses: status, code and words as they were seen. */
export class Refusal extends Error {
  readonly status: number
  readonly body: Record<string, unknown>

  constructor(status: number, code: number | null, message: string, extras: Record<string, unknown> = {}) {
    super(message)
    this.status = status
    this.body = { ...(code === null ? {} : { code }), message, ...extras }
  }
}

export const unauthorised = () => new Refusal(401, 40110000, 'request is not authorized')
export const forbidden = () => new Refusal(403, null, 'forbidden.')
export const notFound = (message: string) => new Refusal(404, 40410000, message)
export const badParameter = (message: string) => new Refusal(422, 42210000, message)
export const badField = (message: string) => new Refusal(422, 40010001, message)
export const notAllowed = (message: string, extras: Record<string, unknown> = {}) =>
  new Refusal(403, 40310000, message, extras)
export const malformed = () => new Refusal(400, 40010000, 'request body format is invalid')
export const rateLimited = () => new Refusal(429, 42910000, 'rate limit exceeded')
export const badData = (message: string) => new Refusal(400, null, message)
