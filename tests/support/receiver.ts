/** An HTTP server that keeps what it is sent, and answers as the test says. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

/** What Node's and Deno's types of an answer have in common, as far as tests need it. */
export type Answering = Pick<ServerResponse, 'end' | 'destroy'> & {
  writeHead(status: number, headers?: object): Answering
}

export interface Receiver {
  url: string
  received: Received[]
  /** What the next requests are answered with, one each; then 200. `hang`: never. */
  answers: (number | 'hang' | ((response: Answering, request: Received) => void))[]
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
      if (typeof answer === 'function') answer(response, got)
      else response.writeHead(answer).end(answer === 200 ? 'ok' : 'not today')
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
