import { redirect } from '@sveltejs/kit'
import { routes } from '#lib/routes.ts'

export function load() {
  redirect(307, routes.runs())
}
