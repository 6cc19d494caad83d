/** JSON as jsonb takes it: it refuses NUL and halves of surrogate pairs, which a strategy's texts may hold: they become U+FFFD. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value)
  return /\\u(0000|d[89a-f])/.test(text) ? JSON.stringify(storable(value)) : text
}

/** `text` refuses NUL too. */
export function withoutNul(text: string): string {
  return text.replaceAll('\0', '\uFFFD')
}

function storable(value: unknown): unknown {
  if (typeof value === 'string') return withoutNul(value.toWellFormed())
  if (Array.isArray(value)) return value.map(storable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storable(key), storable(inner)]))
}
