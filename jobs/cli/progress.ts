/** Progress on a terminal; nothing in a pipe. */
export interface Progress {
  /** 0 to 1. */
  show(fraction: number): void
  end(): void
}

const WIDTH = 30

export function progressBar(name: string): Progress {
  if (!process.stderr.isTTY) return { show() {}, end() {} }
  return {
    show(fraction) {
      const done = Math.round(WIDTH * fraction)
      const percent = (100 * fraction).toFixed(1).padStart(5)
      process.stderr.write(`\r${name} [${'#'.repeat(done)}${'.'.repeat(WIDTH - done)}] ${percent} %`)
    },
    end() {
      process.stderr.write('\n')
    },
  }
}
