/** What a parent and one host say to each other: a request, beats and calls while it is worked on, then its answer. */
import { HostLost, StrategyFailure } from './failure.ts'
import type { Columns, Frame } from './frames.ts'

export interface Answer {
  body: unknown
  columns: Columns
}

export interface RequestOptions {
  columns?: Columns
  /** Answers what the host asks while it works. An error of its own rejects the request as it is. */
  onCall?: (kind: string, body: unknown, columns: Columns) => Promise<{ body: unknown; columns?: Columns }>
  /** Overrides the pool's limit. */
  timeoutMs?: number
}

export interface Conversation {
  request(kind: string, body: unknown, options?: RequestOptions): Promise<Answer>
  hear(frame: Frame): void
  /** Rejects what is asked: the strategy's doing is told with the bar that it had come to. */
  fail(cause: { strategy: string } | HostLost): void
  busy(): boolean
  /** What to fail with when the host was silent for too long at two looks running. */
  overdue(): string | null
}

interface Pending {
  resolve: (answer: Answer) => void
  reject: (error: Error) => void
  options: RequestOptions
  deadline: number
  timeoutMs: number
  barIndex: number | null
  /** What went wrong in the parent while it answered the host: not the strategy's fault. */
  parentError: Error | null
  answering: boolean
  /** Was over its time at the last look: what it says may still be on its way to a parent that was busy itself. */
  late: boolean
}

export interface ConversationOptions {
  send: (frame: Frame) => void
  now: () => number
  /** Longest silence of the host. */
  timeoutMs: number
}

export function createConversation({ send, now, timeoutMs }: ConversationOptions): Conversation {
  let pending: Pending | null = null

  const settle = (finish: (request: Pending) => void): void => {
    const request = pending
    pending = null
    if (request) finish(request)
  }
  const answerCall = async (request: Pending, kind: string, body: unknown, columns: Columns): Promise<void> => {
    request.answering = true
    try {
      if (!request.options.onCall) throw new Error(`nobody answers the host's call ${kind}`)
      const answer = await request.options.onCall(kind, body, columns)
      if (pending === request) send({ message: { type: 'answer', body: answer.body }, columns: answer.columns ?? {} })
    } catch (error) {
      request.parentError = error instanceof Error ? error : new Error(String(error))
      if (pending === request) send({ message: { type: 'refusal', message: request.parentError.message }, columns: {} })
    }
    request.answering = false
    request.deadline = now() + request.timeoutMs
  }

  return {
    request: (kind, body, options = {}) =>
      new Promise<Answer>((resolve, reject) => {
        if (pending) throw new Error('this host is busy')
        const limit = options.timeoutMs ?? timeoutMs
        pending = {
          ...{ resolve, reject, options, deadline: now() + limit, timeoutMs: limit },
          ...{ barIndex: null, parentError: null, answering: false, late: false },
        }
        try {
          send({ message: { type: 'request', kind, body }, columns: options.columns ?? {} })
        } catch (error) {
          pending = null
          throw error
        }
      }),
    hear({ message, columns }) {
      if (pending === null) return
      if (message.type === 'beat') {
        pending.barIndex = message.bar_index
        pending.deadline = now() + pending.timeoutMs
      } else if (message.type === 'call') {
        void answerCall(pending, message.kind, message.body, columns)
      } else if (message.type === 'reply') {
        settle(({ resolve }) => resolve({ body: message.body, columns }))
      } else if (message.type === 'failure') {
        const { type: _, ...told } = message
        settle(({ reject, parentError }) => reject(parentError ?? new StrategyFailure(told)))
      }
    },
    fail(cause) {
      settle(({ reject, parentError, barIndex }) => {
        if (parentError || cause instanceof HostLost) return reject(parentError ?? (cause as HostLost))
        reject(new StrategyFailure({ message: cause.strategy, ...(barIndex === null ? {} : { bar_index: barIndex }) }))
      })
    },
    busy: () => pending !== null,
    overdue() {
      if (pending === null) return null
      const late = !pending.answering && now() > pending.deadline
      if (late && pending.late) return `ran longer than ${pending.timeoutMs} ms`
      pending.late = late
      return null
    },
  }
}
