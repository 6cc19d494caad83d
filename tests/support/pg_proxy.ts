/**
 * A TCP proxy in front of Postgres that knows enough of its protocol to fail where it hurts: a connection that is lost
 * between a COMMIT and its answer, notifications that come late, twice or never, a network that says nothing at all.
 */
import { connect, createServer, type Socket } from 'node:net'

/** What becomes of a COMMIT: it goes through; it is done, but its sender never hears of it; it is lost on the way. */
export type CommitFate = 'pass' | 'lose_answer' | 'lose_commit'
/** What becomes of a notification: how often it is delivered, after how long. */
export interface NotifyFate {
  copies: number
  delayMs: number
}

export interface PgProxy {
  port: number
  onCommit: () => CommitFate
  onNotify: () => NotifyFate
  /** Connections that were lost around a COMMIT. */
  readonly lostCommits: number
  /** Ends every connection. */
  cut(): void
  /** From now on nothing gets through, and nobody is told; until `thaw`, which ends those connections. */
  freeze(): void
  thaw(): void
  close(): Promise<void>
}

const STARTUP = 196_608
const HEADER = 5
/** Longer messages are passed on unread: a COMMIT and a notification are short. */
const READ_AT_MOST = 4_096
/** For the answer to a COMMIT that its sender is not to hear. */
const ANSWER_MS = 10_000

interface Piece {
  bytes: Buffer
  /** Of a message that is of interest: its type and its body. */
  type: string | null
  body: Buffer
}

/** Cuts a stream of messages into pieces: whole messages of the types of interest, and whatever lies between. */
function createSplitter(types: string, startsUntyped: boolean): (chunk: Buffer) => Piece[] {
  let held: Buffer = Buffer.alloc(0)
  let passing = 0
  let untyped = startsUntyped
  const piece = (bytes: Buffer, type: string | null = null, body: Buffer = Buffer.alloc(0)): Piece => ({
    bytes,
    type,
    body,
  })
  return (chunk) => {
    const pieces: Piece[] = []
    let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (rest.length > 0) {
      if (passing > 0) {
        const taken = Math.min(passing, rest.length)
        pieces.push(piece(rest.subarray(0, taken)))
        rest = rest.subarray(taken)
        passing -= taken
        continue
      }
      const head = untyped ? 8 : HEADER
      if (rest.length < head) break
      const length = untyped ? rest.readInt32BE(0) : 1 + rest.readInt32BE(1)
      const type = untyped ? null : String.fromCharCode(rest[0] as number)
      if (type === null) untyped = rest.readInt32BE(4) !== STARTUP
      if (type === null || !types.includes(type) || length > READ_AT_MOST) {
        passing = length
        continue
      }
      if (rest.length < length) break
      pieces.push(piece(rest.subarray(0, length), type, rest.subarray(HEADER, length)))
      rest = rest.subarray(length)
    }
    held = Buffer.from(rest)
    return pieces
  }
}

interface Link {
  client: Socket
  server: Socket
}

/** Passes on at the pace of whoever reads. */
function send(from: Socket, to: Socket, bytes: Buffer, isFrozen: () => boolean): void {
  if (to.destroyed || to.writableEnded) return
  if (to.write(bytes) || from.isPaused()) return
  from.pause()
  to.once('drain', () => !isFrozen() && from.resume())
}

export async function startPgProxy(target: { host: string; port: number }): Promise<PgProxy> {
  const links = new Set<Link>()
  let frozen = false
  const server = createServer((client) => {
    const upstream = connect(target.port, target.host)
    const link = { client, server: upstream }
    links.add(link)
    if (frozen) client.pause()
    relay(link, proxy, () => frozen)
    const over = () => links.delete(link)
    client.once('close', over)
  })
  let lostCommits = 0
  const proxy = {
    port: 0,
    onCommit: (): CommitFate => 'pass',
    onNotify: (): NotifyFate => ({ copies: 1, delayMs: 0 }),
    lost: () => {
      lostCommits += 1
    },
    get lostCommits() {
      return lostCommits
    },
    cut() {
      for (const { client, server: upstream } of links) {
        client.destroy()
        upstream.destroy()
      }
    },
    freeze() {
      frozen = true
      for (const { client, server: upstream } of links) {
        client.pause()
        upstream.pause()
      }
    },
    thaw() {
      frozen = false
      proxy.cut()
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      proxy.cut()
      await closed
    },
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  proxy.port = typeof address === 'object' && address !== null ? address.port : 0
  return proxy
}

type Fates = Pick<PgProxy, 'onCommit' | 'onNotify'> & { lost(): void }

function relay({ client, server }: Link, fates: Fates, isFrozen: () => boolean): void {
  const fromClient = createSplitter('Q', true)
  const fromServer = createSplitter('A', false)
  let deaf = false
  for (const socket of [client, server]) {
    socket.setNoDelay(true)
    socket.on('error', () => {})
  }
  client.on('data', (chunk) => {
    for (const { bytes, type, body } of fromClient(chunk as Buffer)) {
      const fate = type === 'Q' && isCommit(body) ? fates.onCommit() : 'pass'
      if (fate === 'lose_commit') {
        fates.lost()
        server.destroy()
        client.destroy()
        return
      }
      if (fate === 'lose_answer') {
        // Postgres has read the COMMIT and carries it out; its answer finds nobody.
        fates.lost()
        deaf = true
        server.write(bytes)
        client.destroy()
        setTimeout(() => server.destroy(), ANSWER_MS).unref()
        return
      }
      send(client, server, bytes, isFrozen)
    }
  })
  server.on('data', (chunk) => {
    if (deaf) {
      server.end()
      return
    }
    for (const { bytes, type } of fromServer(chunk as Buffer)) {
      const { copies, delayMs } = type === 'A' ? fates.onNotify() : { copies: 1, delayMs: 0 }
      for (let copy = 0; copy < copies; copy++) {
        if (delayMs === 0) send(server, client, bytes, isFrozen)
        else setTimeout(() => !isFrozen() && send(server, client, Buffer.from(bytes), isFrozen), delayMs).unref()
      }
    }
  })
  client.once('close', () => !deaf && server.end())
  server.once('close', () => client.destroy())
}

function isCommit(body: Buffer): boolean {
  return /^commit\b/i.test(body.toString('latin1').trim())
}
