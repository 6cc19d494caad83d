/** The server of the bench `sse`: the real API, or as the reference a bare server that writes the same bytes to all. */
import { createServer } from 'node:http'
import { STREAM_LIMITS } from '../../api/dependencies.ts'
import { startServer } from '../../api/server.ts'
import { openDatabase } from '../../db/client.ts'
import { createTestApi } from '../support/api.ts'

const [kind, url = ''] = process.argv.slice(2)
const tell = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)

async function real(): Promise<void> {
  const db = await openDatabase({ url, applicationName: 'weaver bench' })
  const stream = { ...STREAM_LIMITS, clients: 2_000 }
  const { url: address } = await startServer({ api: createTestApi(db, { stream }), host: '127.0.0.1', port: 0 })
  tell({ address: `${address}/api/v1/events/stream` })
}

function bare(): void {
  const clients = new Set<NodeJS.WritableStream>()
  const server = createServer((request, answer) => {
    if (request.method === 'POST') {
      const parts: Buffer[] = []
      request.on('data', (part) => parts.push(part))
      request.on('end', () => {
        for (const client of clients) client.write(Buffer.concat(parts))
        answer.end()
      })
      return
    }
    answer.writeHead(200, { 'Content-Type': 'text/event-stream' })
    answer.flushHeaders()
    clients.add(answer)
    answer.on('close', () => clients.delete(answer))
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    tell({ address: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/` })
  })
}

// Asked for by a line on stdin: the processor time so far.
process.stdin.on('data', () => {
  const { user, system } = process.cpuUsage()
  tell({ cpuMs: (user + system) / 1_000, rss: process.memoryUsage.rss() })
})
if (kind === 'real') await real()
else bare()
