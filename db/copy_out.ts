/**
 * `copy … to stdout` as the driver sees a query. The stream of pg-copy-streams takes the socket over, which hangs on
 * Deno, and never tells the driver's time limit that it is done; this one only collects what the driver hands it.
 */

export class CopyOut {
  readonly #text: string
  readonly #chunks: Buffer[] = []
  readonly #done = Promise.withResolvers<Buffer>()
  /** The driver puts its time limit in here: called when the query has ended, however. */
  callback: (error?: Error) => void = () => {}

  constructor(text: string) {
    this.#text = text
  }

  get bytes(): Promise<Buffer> {
    return this.#done.promise
  }

  submit(connection: object): void {
    // The driver's Connection, whose `query` its type declaration leaves out.
    const { query } = connection as { query(text: string): void }
    query.call(connection, this.#text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    // A view of the driver's buffer, which the next packet overwrites.
    this.#chunks.push(Buffer.from(chunk))
  }

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.callback()
    this.#done.reject(error)
  }

  handleReadyForQuery(): void {
    this.callback()
    this.#done.resolve(Buffer.concat(this.#chunks))
  }
}
