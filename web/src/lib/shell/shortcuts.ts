/** Keys of the whole page. None changes anything on the server. */
export const SHORTCUTS = [
  { keys: ['g', 'r'], does: 'Go to runs' },
  { keys: ['g', 'n'], does: 'New backtest' },
  { keys: ['g', 's'], does: 'Go to strategies' },
  { keys: ['g', 'd'], does: 'Go to data' },
  { keys: ['/'], does: 'Jump to the filters' },
  { keys: ['t'], does: 'Light or dark' },
  { keys: ['?'], does: 'This help' },
] as const

/** A second key later than this is a new beginning. */
const SEQUENCE_MS = 1_000

export interface ShortcutActions {
  go: (where: 'r' | 'n' | 's' | 'd') => void
  filter: () => void
  theme: () => void
  help: () => void
}

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(input|select|textarea)$/i.test(target.tagName))

export function createShortcuts(actions: ShortcutActions) {
  let prefixAt = Number.NEGATIVE_INFINITY
  return (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return
    if (document.querySelector('dialog[open]')) return
    const afterG = event.timeStamp - prefixAt < SEQUENCE_MS
    prefixAt = Number.NEGATIVE_INFINITY
    const key = event.key
    if (afterG && (key === 'r' || key === 'n' || key === 's' || key === 'd')) actions.go(key)
    else if (key === 'g') prefixAt = event.timeStamp
    else if (key === '/') {
      event.preventDefault()
      actions.filter()
    } else if (key === 't') actions.theme()
    else if (key === '?') actions.help()
  }
}
