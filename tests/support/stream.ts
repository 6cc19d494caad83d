/** A client of the event stream, byte by byte: it can vanish in the middle of an event. */
import { request } from 'node:http'

export interface StreamMessage {
  event: string
  id: string | null
  data: Record<string, unknown>
}

export interface StreamClient {
  status: number
  /** The events that arrived whole. */
  messages: StreamMessage[]
  /** Everything that arrived. */
  text(): string
  /** Resolves when the connection is gone, whoever ended it. */
  ended: Promise<void>
  cut(): void
}

/** `bytes`: the connection is destroyed when so many have been read. */
export function openStream(
  url: string,
  { lastEventId = null, bytes = Number.POSITIVE_INFINITY }: { lastEventId?: string | null; bytes?: number } = {},
): Promise<StreamClient> {
  const headers = lastEventId === null ? {} : { 'last-event-id': lastEventId }
  return new Promise((resolve, reject) => {
    const asking = request(url, { headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      const messages: StreamMessage[] = []
      let open = ''
      let left = bytes
      const ended = new Promise<void>((gone) => answer.once('close', gone))
      answer.on('error', () => {})
      const client: StreamClient = {
        status: answer.statusCode ?? 0,
        messages,
        text: () => Buffer.concat(parts).toString(),
        ended,
        cut: () => asking.destroy(),
      }
      answer.on('data', (piece: Buffer) => {
        const read = piece.subarray(0, left)
        left -= read.length
        parts.push(read)
        // The frames are ASCII, but for what people write into symbols and names: those tests read `text`.
        const blocks = (open + read.toString('latin1')).split('\n\n')
        open = blocks.pop() ?? ''
        messages.push(...blocks.flatMap((block) => messageOf(block)))
        if (left <= 0) asking.destroy()
      })
      resolve(client)
    })
    asking.on('error', reject)
    asking.end()
  })
}

function messageOf(block: string): StreamMessage[] {
  const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]))
  const event = fields.get('event')
  if (event === undefined) return []
  return [{ event, id: fields.get('id') ?? null, data: JSON.parse(fields.get('data') ?? 'null') }]
}
