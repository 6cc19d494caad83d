/** A file of candles out of a request: streamed when it is the body, in memory when it comes in a form. */
import { z } from '@hono/zod-openapi'
import { DomainError } from '../jobs/glados/errors.ts'
import type { ImportRequest } from '../jobs/glados/import_candles.ts'
import { refusal } from './router.ts'
import { adjustment } from './schemas/market.ts'
import { name, timeframe } from './schemas/values.ts'

export const MOST_IMPORT_BYTES = 256 * 1024 * 1024
/** The first bytes of every Parquet file. */
const PARQUET = 'PAR1'

const fields = z.object({
  symbol: name,
  timeframe,
  strict: z.union([z.boolean(), z.stringbool()]).default(false),
  adjustment: adjustment.optional(),
  feed: name.optional(),
})

export async function readUpload(request: Request, query: object): Promise<ImportRequest> {
  const isForm = /^multipart\/form-data\b/i.test(request.headers.get('content-type') ?? '')
  const { source, given } = isForm ? await readForm(request) : { source: request.body, given: {} }
  const checked = fields.safeParse({ ...given, ...definedOf(query) })
  if (!checked.success) throw refusal(checked.error)
  if (source === null)
    throw new DomainError('BAD_REQUEST', 'send the file as the body, or as the field `file` of a form')
  const { format, bytes } = await detect(partsOf(limitBytes(source, MOST_IMPORT_BYTES)))
  return { ...checked.data, format, source: bytes }
}

const definedOf = (query: object) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined))

async function readForm(request: Request) {
  const counted = request.body && limitBytes(request.body, MOST_IMPORT_BYTES)
  const headers = { 'content-type': request.headers.get('content-type') ?? '' }
  let form: FormData
  try {
    form = await new Response(counted, { headers }).formData()
  } catch (error) {
    throw error instanceof DomainError ? error : new DomainError('BAD_REQUEST', 'the form cannot be read')
  }
  const file = form.get('file')
  const given = Object.fromEntries([...form].filter(([, value]) => typeof value === 'string'))
  if (!(file instanceof Blob)) {
    const message = 'the form needs the file in a field `file`'
    throw new DomainError('VALIDATION_ERROR', `file: ${message}`, { issues: [{ path: 'file', message }] })
  }
  return { source: file.stream(), given }
}

/** The bytes of a body, until there are too many of them. */
export function limitBytes(body: ReadableStream<Uint8Array>, most: number): ReadableStream<Uint8Array> {
  let bytes = 0
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(part, controller) {
        bytes += part.byteLength
        if (bytes > most) throw tooLarge(most)
        controller.enqueue(part)
      },
    }),
  )
}

export function tooLarge(most: number): DomainError {
  return new DomainError('PAYLOAD_TOO_LARGE', `the body is larger than ${most} bytes`, { limit_bytes: most })
}

async function* partsOf(source: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* source
}

/** Looks at the first bytes, and gives all of them. */
async function detect(
  source: AsyncGenerator<Uint8Array>,
): Promise<{ format: 'csv' | 'parquet'; bytes: AsyncIterable<Uint8Array> }> {
  const first: Uint8Array[] = []
  let length = 0
  while (length < PARQUET.length) {
    const next = await source.next()
    if (next.done) break
    first.push(next.value)
    length += next.value.byteLength
  }
  const start = new TextDecoder('latin1').decode(
    new Uint8Array(first.flatMap((part) => [...part.subarray(0, PARQUET.length)])),
  )
  async function* bytes() {
    yield* first
    yield* source
  }
  return { format: start.startsWith(PARQUET) ? 'parquet' : 'csv', bytes: bytes() }
}
