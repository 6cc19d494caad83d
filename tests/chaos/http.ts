/** A patient client: who gets no answer, or is told that the database is away, asks again. */
import { pause } from '../support/until.ts'

export interface Answer {
  status: number
  body: Record<string, unknown>
}

export interface Http {
  /** One question; rejects when there is no answer. */
  once(method: string, path: string, body?: object | string, timeoutMs?: number): Promise<Answer>
  /** Asks until the answer is none of trouble. */
  until(method: string, path: string, body?: object | string): Promise<Answer>
}

const TIMEOUT_MS = 15_000
const PAUSE_MS = 100
/** A client that is never answered is a finding, not a reason to wait for ever. */
const PATIENCE_MS = 120_000

/** `over`: nobody waits for an answer any more. */
export function ask(url: string, over: AbortSignal): Http {
  const once = async (method: string, path: string, body?: object | string, timeoutMs = TIMEOUT_MS) => {
    const type = typeof body === 'string' ? 'text/csv' : 'application/json'
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { 'content-type': type },
      signal: AbortSignal.any([over, AbortSignal.timeout(timeoutMs)]),
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) }
  }
  return {
    once,
    async until(method, path, body) {
      const deadline = Date.now() + PATIENCE_MS
      let last = ''
      while (Date.now() < deadline && !over.aborted) {
        try {
          const answer = await once(method, path, body)
          if (answer.status < 500) return answer
          last = `${answer.status} ${JSON.stringify(answer.body)}`
          if (answer.status !== 503) throw new Error(`${method} ${path} was answered ${last}`)
        } catch (error) {
          last = String(error)
          if (last.includes('was answered')) throw error
        }
        await pause(PAUSE_MS)
      }
      throw new Error(`${method} ${path} was not answered in ${PATIENCE_MS} ms; the last was ${last}`)
    },
  }
}
