/**
 * Rows as they travel from a host: names once, then values. A chunk has ten thousands of rows of thirty columns, and
 * their names would be most of what is sent. Pure.
 */
export interface PackedRows {
  names: string[]
  values: unknown[][]
}

export function packRows<Row extends object>(rows: readonly Row[]): PackedRows {
  const [first] = rows
  if (first === undefined) return { names: [], values: [] }
  const names = Object.keys(first)
  return { names, values: rows.map((row) => names.map((name) => row[name as keyof Row])) }
}

export function unpackRows<Row extends object>({ names, values }: PackedRows): Row[] {
  return values.map((row) => {
    const unpacked: Record<string, unknown> = {}
    for (let index = 0; index < names.length; index++) unpacked[names[index] as string] = row[index]
    return unpacked as Row
  })
}
