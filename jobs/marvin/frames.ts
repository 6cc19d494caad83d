/**
 * What a host and its parent say to each other, as bytes: 8 bytes of lengths (header, columns; little-endian), the header
 * as JSON, then the columns as float64. Pure.
 */

export type Columns = Record<string, Float64Array>

/** Parent to host: `request`, `answer`. Host to parent: `reply`, `failure`, `call`, `beat`. */
export type HostMessage =
  | { type: 'request' | 'call'; kind: string; body: unknown }
  | { type: 'reply' | 'answer'; body: unknown }
  | { type: 'failure'; message: string; stack?: string; bar_index?: number }
  | { type: 'refusal'; message: string }
  | { type: 'beat'; bar_index: number | null }

export interface Frame {
  message: HostMessage
  columns: Columns
}

export const PREFIX_BYTES = 8
/** A longer header or more columns end the host: neither side could hold them. */
export const MAX_HEADER_BYTES = 256 * 1024 ** 2
export const MAX_COLUMN_BYTES = 1024 ** 3

interface Header {
  message: HostMessage
  /** Names and lengths of the columns, in the order of their bytes. */
  columns: [name: string, length: number][]
}

/** The frame's bytes in parts: columns are not copied. */
export function encodeFrame({ message, columns }: Frame): Uint8Array[] {
  const entries = Object.entries(columns)
  const header: Header = { message, columns: entries.map(([name, column]) => [name, column.length]) }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const columnBytes = entries.reduce((sum, [, column]) => sum + column.byteLength, 0)
  mustFit(text.length, columnBytes)
  const prefix = new Uint8Array(PREFIX_BYTES)
  const view = new DataView(prefix.buffer)
  view.setUint32(0, text.length, true)
  view.setUint32(4, columnBytes, true)
  return [
    prefix,
    text,
    ...entries.map(([, { buffer, byteOffset, byteLength }]) => new Uint8Array(buffer, byteOffset, byteLength)),
  ]
}

export interface FrameSize {
  header: number
  columns: number
}

export function readPrefix(prefix: Uint8Array): FrameSize {
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES)
  const size = { header: view.getUint32(0, true), columns: view.getUint32(4, true) }
  mustFit(size.header, size.columns)
  return size
}

function mustFit(header: number, columns: number): void {
  if (header > MAX_HEADER_BYTES) throw new Error(`a message of ${header} bytes: ${MAX_HEADER_BYTES} are the limit`)
  if (columns > MAX_COLUMN_BYTES) throw new Error(`columns of ${columns} bytes: ${MAX_COLUMN_BYTES} are the limit`)
}

/** `columnBytes` begins its buffer, so that the columns are views on it. */
export function decodeFrame(headerBytes: Uint8Array, columnBytes: Uint8Array): Frame {
  const header = JSON.parse(new TextDecoder().decode(headerBytes)) as Header
  const columns: Columns = {}
  let offset = columnBytes.byteOffset
  for (const [name, length] of header.columns) {
    columns[name] = new Float64Array(columnBytes.buffer, offset, length)
    offset += length * Float64Array.BYTES_PER_ELEMENT
  }
  return { message: header.message, columns }
}

/** Puts frames together from pieces of any size. Each part of a frame is allocated once and filled. */
export function createFrameReader(onFrame: (frame: Frame) => void): (piece: Uint8Array) => void {
  let part: 'prefix' | 'header' | 'columns' = 'prefix'
  let target = new Uint8Array(PREFIX_BYTES)
  let filled = 0
  let size: FrameSize = { header: 0, columns: 0 }
  let header = target

  const next = (name: typeof part, bytes: number): void => {
    part = name
    target = new Uint8Array(bytes)
    filled = 0
  }
  const partDone = (): void => {
    if (part === 'prefix') {
      size = readPrefix(target)
      next('header', size.header)
    } else if (part === 'header') {
      header = target
      next('columns', size.columns)
    } else {
      const columns = target
      next('prefix', PREFIX_BYTES)
      onFrame(decodeFrame(header, columns))
    }
  }
  return (piece) => {
    let read = 0
    while (read < piece.length) {
      const taken = Math.min(piece.length - read, target.length - filled)
      target.set(piece.subarray(read, read + taken), filled)
      filled += taken
      read += taken
      // A part without bytes (no columns) is done at once.
      while (filled === target.length) partDone()
    }
  }
}
