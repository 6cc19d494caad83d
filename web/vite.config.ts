import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import adapter from '@sveltejs/adapter-static'
import { sveltekit } from '@sveltejs/kit/vite'
import { defineConfig } from 'vite'

const root = dirname(fileURLToPath(import.meta.url))
// Absolute: the adapter would take it from the directory that the build was started in.
const build = join(root, 'build')
const api = { target: 'http://127.0.0.1:8000', changeOrigin: false }

export default defineConfig({
  root,
  plugins: [
    sveltekit({
      adapter: adapter({ pages: build, assets: build, fallback: '200.html' }),
      paths: { relative: false },
      // The whole policy is in the page: only kit knows the hash of its bootstrap script. What a <meta> cannot say
      // (frame-ancestors) is the server's header.
      csp: {
        mode: 'hash',
        directives: {
          'default-src': ['self'],
          'script-src': ['self'],
          'style-src': ['self'],
          'style-src-attr': ['unsafe-inline'],
          'img-src': ['self', 'data:'],
          'connect-src': ['self'],
          'object-src': ['none'],
          'base-uri': ['self'],
          'form-action': ['self'],
        },
      },
      version: { name: process.env.npm_package_version ?? 'dev', pollInterval: 0 },
    }),
  ],
  server: { port: 5173, proxy: { '/api': api, '/docs': api, '/openapi.json': api } },
})
