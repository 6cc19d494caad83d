/** What `html` of Hono makes: text of a page in which every value that was put in is escaped. */
import type { html } from 'hono/html'

export type Html = ReturnType<typeof html>
