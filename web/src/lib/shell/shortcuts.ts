/** Keys of the whole page. None changes anything on the server. */
export const SHORTCUTS = [
  { keys: ['g', 'r'], does: 'Go to runs' },
  { keys: ['g', 'n'], does: 'New run' },
  { keys: ['g', 's'], does: 'Go to strategies' },
  { keys: ['g', 'a'], does: 'Go to accounts' },
  { keys: ['g', 'd'], does: 'Go to data' },
  { keys: ['/'], does: 'Jump to the filters' },
  { keys: ['t'], does: 'Light or dark' },
  { keys: ['?'], does: 'This help' },
] as const

/** A second key later than this is a new beginning. */
const SEQUENCE_MS = 1_000

const PLACES = ['r', 'n', 's', 'a', 'd'] as const
type Place = (typeof PLACES)[number]

export interface ShortcutActions {
  go: (where: Place) => void
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
    const place = PLACES.find((candidate) => candidate === key)
    if (afterG && place) actions.go(place)
    else if (key === 'g') prefixAt = event.timeStamp
    else if (key === '/') {
      event.preventDefault()
      actions.filter()
    } else if (key === 't') actions.theme()
    else if (key === '?') actions.help()
  }
}
