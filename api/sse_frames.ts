/** The newest events as frames, read once for all clients; older places are read from the log, a page at a time. */
import { type Feed, type FeedEvent, type FeedFilter, wants } from './event_feed.ts'

/** Events that are kept for clients that keep up. */
const RING = 1_024
/** Most that one read of a connection gets. */
const FRAMES_AT_ONCE = 64

interface Frame {
  /** Without what only the tail shows: payloads may be large. */
  event: Omit<FeedEvent, 'data' | 'envelope'>
  text: string
}

export interface FramesPage {
  text: string
  cursor: number
  /** The text tells the client that it cannot go on where it was, and why. */
  reset?: string
}

/** The places that clients were given mean something else by now. */
export class LogWentBack extends Error {
  override readonly name = 'LogWentBack'
}

export interface Frames {
  /** Reads what is new; true when a client may have something to read. */
  advance(): Promise<boolean>
  /** The next frames after a place, '' when there are none yet, and the place after them. */
  after(cursor: number, filter: FeedFilter): Promise<FramesPage>
  /** The newest place that it knows of. */
  head(): number
  /** Forgets all: nobody listens. */
  rest(): void
}

export function createFrames(feed: Feed): Frames {
  let ring: Frame[] = []
  /** The ring holds all that is shown in (start, position]. Position null: nobody listens. */
  let start = -1
  let position: number | null = null

  function keep(events: readonly FeedEvent[]): void {
    for (const event of events) {
      const { seq, name, runId, onlyOfRun } = event
      ring.push({ event: { seq, name, runId, onlyOfRun }, text: frameOf(event) })
    }
    for (const { event } of ring.splice(0, Math.max(0, ring.length - RING))) start = event.seq
  }

  function fromRing(cursor: number, filter: FeedFilter, end: number): FramesPage {
    const texts: string[] = []
    for (let i = firstAfter(ring, cursor); i < ring.length; i++) {
      const { event, text } = ring[i] as Frame
      if (wants(filter, event)) texts.push(text)
      if (texts.length === FRAMES_AT_ONCE) return { text: texts.join(''), cursor: event.seq }
    }
    return { text: texts.join(''), cursor: end }
  }

  return {
    async advance() {
      if (position === null) {
        position = start = await feed.head()
        return true
      }
      const { events, scanned, head } = await feed.page(position, null)
      if (head < position) {
        const was = position
        this.rest()
        throw new LogWentBack(`the log ends at ${head}, and was at ${was}: it was restored`)
      }
      if (scanned === position) return false
      keep(events)
      position = scanned
      return true
    },
    async after(cursor, filter) {
      if (position !== null && cursor >= position) return { text: '', cursor }
      if (position !== null && cursor >= start) return fromRing(cursor, filter, position)
      const { events, scanned } = await feed.page(cursor, filter, FRAMES_AT_ONCE)
      // Asked last: retention may have come between.
      const reason = await feed.resetReason(cursor, filter)
      if (reason !== null) {
        const head = await feed.head()
        return { text: resetFrame(reason, head), cursor: head, reset: reason }
      }
      return { text: events.map(frameOf).join(''), cursor: scanned }
    },
    head: () => position ?? -1,
    rest() {
      ring = []
      position = null
    },
  }
}

/** Index of the first frame after a place. */
function firstAfter(ring: readonly Frame[], seq: number): number {
  let low = 0
  let high = ring.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ring[middle] as Frame).event.seq <= seq) low = middle + 1
    else high = middle
  }
  return low
}

function frameOf({ seq, name, data }: FeedEvent): string {
  return frame(name, data, seq)
}

export function resetFrame(reason: string, head: number): string {
  return frame('reset', { reason, next: head }, head)
}

/** Without an id the browser keeps the one before. */
export function frame(event: string, data: object, id?: number): string {
  return `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}
