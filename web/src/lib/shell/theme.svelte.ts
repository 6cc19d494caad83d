/** Light or dark; static/theme.js has set it before the first paint. */
type Name = 'light' | 'dark'

class Theme {
  name = $state<Name>(document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light')

  toggle() {
    this.name = this.name === 'dark' ? 'light' : 'dark'
    document.documentElement.dataset.theme = this.name
    try {
      localStorage.setItem('haro.theme', this.name)
    } catch {
      // Storage may be blocked; the choice then lasts until the page is left.
    }
  }
}

export const theme = new Theme()
