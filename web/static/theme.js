// Runs before the first paint: the chosen theme, else the system's.
;(() => {
  let chosen = null
  try {
    chosen = localStorage.getItem('haro.theme')
  } catch {
    // Storage may be blocked; the system's theme is used.
  }
  const dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
