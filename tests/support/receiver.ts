/** An HTTP server that keeps what it is sent, and answers as the test says. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Answer {
  status: number
  headers?: Record<string, string>
  body?: string
}

export interface Receiver {
  url: string
  received: Received[]
  /** What the next requests are answered with, one each; then 200. `hang`: never. */
  answers: (number | 'hang' | ((request: Received) => Answer))[]
  close(): Promise<void>
}

export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const answers: Receiver['answers'] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      const got = { method, path, headers, body: Buffer.concat(parts).toString() }
      received.push(got)
      const answer = answers.shift() ?? 200
      if (answer === 'hang') return
      const {
        status,
        headers: own = {},
        body,
      }: Answer = typeof answer === 'function' ? answer(got) : { status: answer }
      response.writeHead(status, own).end(body ?? (status === 200 ? 'ok' : 'not today'))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answers,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
