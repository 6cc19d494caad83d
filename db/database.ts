/**
 * What the rest of Weaver may do with Postgres. Who holds a Reader cannot write: its connections run as the role
 * weaver_reader. A WriteTx runs as weaver_walle and exists only inside `Database.write`.
 */
import type { Readable } from 'node:stream'

/** The database is away, or cannot answer now: the same may work in a moment. Whatever else it says is another error. */
export class DatabaseUnavailable extends Error {
  override readonly name = 'DatabaseUnavailable'
  /** SQLSTATE or the socket's; '' when there is none. */
  readonly code: string

  constructor(why: string, { code, cause }: { code: string; cause: unknown }) {
    super(`the database does not answer: ${why}`, { cause })
    this.code = code
  }
}

export interface Reader {
  /** Runs one statement with $1… parameters and gives the rows. */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** `copy … to stdout`: everything it sends, in one piece. Binary columns cost a third of what `query` makes of them. */
  copyTo(text: string): Promise<Uint8Array>
}

export interface WriteTx extends Reader {
  readonly writable: true
  /** Runs one statement and gives the number of rows it touched. */
  execute(text: string, values?: readonly unknown[]): Promise<number>
  /** Sends one statement whose answer nobody needs: if it fails, the transaction does, with its error. */
  send(text: string, values?: readonly unknown[]): void
  /** `copy … from stdin` fed by the stream; gives the number of rows. */
  copyFrom(text: string, source: Readable): Promise<number>
}

export interface WriteOptions {
  /**
   * False: the commit does not wait for the disk. After a crash of the server it may be as if it had never been, with
   * everything that came of it; whatever is committed after it and is there still proves that it is there. For what nobody
   * outside of the database has been told of.
   */
  flush?: boolean
}

/** One connection of its own, for advisory locks that live as long as it does. */
export interface Session extends Reader {
  /** Settles when the connection is gone, asked for or not. */
  readonly lost: Promise<Error | null>
  close(): Promise<void>
}

export interface Listener {
  close(): Promise<void>
}

export interface PoolHealth {
  /** Connections that are open; `idle` of them are free. */
  open: number
  idle: number
  /** Callers that wait for one. */
  waiting: number
  most: number
}

/** A listener notifies itself again and again: what does not come back shows that it hears nothing. */
export interface ListenerHealth {
  channel: string
  connected: boolean
  reconnects: number
  /** When it last heard itself, epoch milliseconds; null: not yet. */
  heardAt: number | null
  /** From sending to hearing. */
  roundTripMs: number | null
}

export interface DatabaseHealth {
  pools: Record<'read' | 'write', PoolHealth>
  listeners: ListenerHealth[]
}

export interface Database {
  /** Single statements, each on a pooled connection. */
  readonly reader: Reader
  /** Several reads of one snapshot (repeatable read, read only). */
  read<T>(work: (reader: Reader) => Promise<T>): Promise<T>
  /** One transaction (read committed). Rolls back when `work` throws; the error goes on to the caller. */
  write<T>(work: (tx: WriteTx) => Promise<T>, options?: WriteOptions): Promise<T>
  session(): Promise<Session>
  /**
   * LISTEN on a channel, reconnecting by itself. `onReady` is called after every (re)LISTEN is acknowledged, so that the
   * caller reads what it may have missed; a notification is only a hint.
   */
  listen(channel: string, handlers: { onNotify: () => void; onReady: () => void }): Promise<Listener>
  /** Of this process's connections, without asking the server. */
  health(): DatabaseHealth
  close(): Promise<void>
}
