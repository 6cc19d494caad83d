/** What JSON may say and a run cannot keep: texts that Postgres refuses, and nesting that its readers cannot follow. */

export interface Issue {
  path: string
  message: string
}

/** Levels of objects and lists, the body's own included. */
export const MOST_LEVELS = 64
const MOST_ISSUES = 10

interface Place {
  value: unknown
  path: readonly (string | number)[]
}

/** Without recursion: what it looks for may be nested deeper than a stack goes. */
export function unkeepable(body: unknown): Issue[] {
  const issues: Issue[] = []
  const open: Place[] = [{ value: body, path: [] }]
  for (let place = open.pop(); place !== undefined && issues.length < MOST_ISSUES; place = open.pop()) {
    const { value, path } = place
    const tell = (message: string) => issues.push({ path: path.join('.'), message })
    if (typeof value === 'string' && !isKeepable(value)) tell(UNKEEPABLE)
    if (typeof value !== 'object' || value === null) continue
    if (path.length >= MOST_LEVELS) {
      issues.push({ path: String(path[0]), message: `is nested deeper than ${MOST_LEVELS} levels` })
      continue
    }
    // In reverse, so that the first is looked at first.
    for (const [key, inner] of Object.entries(value).reverse()) {
      if (isKeepable(key)) open.push({ value: inner, path: [...path, key] })
      else tell(`has a name that ${UNKEEPABLE}`)
    }
  }
  return issues
}

const UNKEEPABLE = 'holds a NUL character or half of a surrogate pair'

function isKeepable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
