/**
 * Rows as they travel from a host: names once, a column that is the same in every row once, then values. A chunk has ten
 * thousands of rows of thirty columns, and names and repetitions would be most of what is sent. Pure.
 */
export interface PackedRows {
  same: Record<string, unknown>
  names: string[]
  values: unknown[][]
}

export function packRows<Row extends object>(rows: readonly Row[]): PackedRows {
  const [first] = rows
  if (first === undefined) return { same: {}, names: [], values: [] }
  const same: Record<string, unknown> = {}
  const names: string[] = []
  for (const name of Object.keys(first) as (keyof Row & string)[]) {
    const value = first[name]
    if (isPlain(value) && rows.every((row) => row[name] === value)) same[name] = value
    else names.push(name)
  }
  return { same, names, values: rows.map((row) => names.map((name) => row[name as keyof Row])) }
}

/** Lists and objects are compared by nobody. */
function isPlain(value: unknown): boolean {
  return value === null || typeof value !== 'object'
}

export function unpackRows<Row extends object>({ same, names, values }: PackedRows): Row[] {
  return values.map((row) => {
    const unpacked: Record<string, unknown> = { ...same }
    for (let index = 0; index < names.length; index++) unpacked[names[index] as string] = row[index]
    return unpacked as Row
  })
}
