/** The server's half of a WebSocket (RFC 6455) on the socket of an HTTP upgrade: text, binary, ping, close. */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10

export interface ServerSocket {
  send(data: string, as?: 'text' | 'binary'): void
  /** With the frames of a close. */
  close(code?: number): void
  /** The line is gone, and nobody is told. */
  cut(): void
  /** It neither sends nor answers pings, and stays. */
  mute(isMute: boolean): void
  readonly isOpen: boolean
  onMessage: (text: string) => void
  onClose: () => void
}

/** Deno's types of a server's request are older than Node's. */
export type Asking = IncomingMessage

export function acceptSocket(request: Asking, raw: Duplex, head: Buffer): ServerSocket {
  const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}${MAGIC}`).digest('base64')
  raw.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`,
  )
  let isOpen = true
  let isMute = false
  let buffered = head
  const ended = () => {
    if (!isOpen) return
    isOpen = false
    socket.onClose()
  }
  const socket: ServerSocket = {
    get isOpen() {
      return isOpen
    },
    send(data, as = 'text') {
      if (isOpen && !isMute) raw.write(frame(as === 'text' ? TEXT : BINARY, Buffer.from(data)))
    },
    close(code = 1000) {
      if (!isOpen) return
      const body = Buffer.alloc(2)
      body.writeUInt16BE(code)
      raw.end(frame(CLOSE, body))
      ended()
    },
    cut() {
      raw.destroy()
      ended()
    },
    mute(next) {
      isMute = next
    },
    onMessage: () => {},
    onClose: () => {},
  }
  const take = (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    for (let next = readFrame(buffered); next !== null; next = readFrame(buffered)) {
      buffered = buffered.subarray(next.length)
      if (next.opcode === TEXT || next.opcode === BINARY) socket.onMessage(next.payload.toString())
      else if (next.opcode === PING && isOpen && !isMute) raw.write(frame(PONG, next.payload))
      else if (next.opcode === CLOSE) socket.close()
    }
  }
  raw.on('data', take)
  // Its peer is gone without a word: one that was killed.
  raw.on('end', () => raw.destroy())
  raw.on('error', ended)
  raw.on('close', ended)
  if (head.length > 0) queueMicrotask(() => take(Buffer.alloc(0)))
  return socket
}

function frame(opcode: number, payload: Buffer): Buffer {
  const head = payload.length < 126 ? Buffer.alloc(2) : payload.length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10)
  head[0] = 0x80 | opcode
  if (head.length === 2) head[1] = payload.length
  else if (head.length === 4) {
    head[1] = 126
    head.writeUInt16BE(payload.length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(payload.length), 2)
  }
  return Buffer.concat([head, payload])
}

/** The first whole frame; null while more of it is to come. Messages of a client that come in parts are not understood. */
function readFrame(data: Buffer): { opcode: number; payload: Buffer; length: number } | null {
  if (data.length < 2) return null
  const short = (data[1] as number) & 0x7f
  const isMasked = ((data[1] as number) & 0x80) !== 0
  const sizeBytes = short === 126 ? 2 : short === 127 ? 8 : 0
  const start = 2 + sizeBytes + (isMasked ? 4 : 0)
  if (data.length < start) return null
  const size = short === 126 ? data.readUInt16BE(2) : short === 127 ? Number(data.readBigUInt64BE(2)) : short
  if (data.length < start + size) return null
  const payload = Buffer.from(data.subarray(start, start + size))
  const mask = data.subarray(start - 4, start)
  if (isMasked)
    for (let index = 0; index < size; index += 1) {
      payload[index] = (payload[index] as number) ^ (mask[index % 4] as number)
    }
  return { opcode: (data[0] as number) & 0x0f, payload, length: start + size }
}
