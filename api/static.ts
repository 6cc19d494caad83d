/** Files of the disk: Haro's build, and the page that shows the API's description. */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { extname, join, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
}
const FALLBACK = '200.html'
/** Files whose name changes with their content. */
const HASHED = '/_app/immutable/'
const FOR_EVER = 'public, max-age=31536000, immutable'
const ASK_FIRST = 'no-cache'

const MISSING = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Weaver</title>
<h1>Weaver is running</h1>
<p>Its web page has not been built yet. Run <code>npm run web:build</code> and load this page again.</p>
<p>The API is there: <a href="/docs">/docs</a></p></html>`

export interface StaticFiles {
  /** The file of a path, else Haro's page, which finds its way by the path; null for an asset that is not there. */
  serve(path: string, ifNoneMatch: string | undefined): Promise<Response | null>
  /** Of the page's inline scripts, as the Content-Security-Policy names them. */
  scriptHashes(): readonly string[]
}

export function createStaticFiles(root: URL): StaticFiles {
  const folder = fileURLToPath(root)
  let hashes: readonly string[] = []

  async function page(): Promise<Response> {
    const html = await readFile(join(folder, FALLBACK), 'utf8').catch(() => MISSING)
    hashes = inlineScriptHashes(html)
    return new Response(html, { headers: { 'Content-Type': TYPES['.html'] ?? '', 'Cache-Control': ASK_FIRST } })
  }

  return {
    scriptHashes: () => hashes,
    async serve(path, ifNoneMatch) {
      if (path === '/') return page()
      const found = await fileAt(folder, path, ifNoneMatch)
      if (found) return found
      return path.startsWith('/_app/') || extname(path) !== '' ? null : page()
    },
  }
}

async function fileAt(folder: string, path: string, ifNoneMatch?: string): Promise<Response | null> {
  const file = pathIn(folder, path)
  const info = file === null ? null : await stat(file).catch(() => null)
  if (file === null || !info?.isFile()) return null
  const etag = `W/"${info.size.toString(36)}-${Math.trunc(info.mtimeMs).toString(36)}"`
  const headers = { ETag: etag, 'Cache-Control': path.startsWith(HASHED) ? FOR_EVER : ASK_FIRST }
  if (ifNoneMatch === etag) return new Response(null, { status: 304, headers })
  const type = TYPES[extname(file).toLowerCase()] ?? 'application/octet-stream'
  return new Response(new Uint8Array(await readFile(file)), { headers: { ...headers, 'Content-Type': type } })
}

/** Null for what does not lie in the folder, however it is written. */
function pathIn(folder: string, path: string): string | null {
  try {
    const name = decodeURIComponent(path)
    const file = resolve(folder, `.${sep}${name}`)
    return !name.includes('\0') && file.startsWith(resolve(folder) + sep) ? file : null
  } catch {
    return null
  }
}

function inlineScriptHashes(html: string): string[] {
  const scripts = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/gi)]
  return scripts.map(([, text = '']) => `sha256-${createHash('sha256').update(text).digest('base64')}`)
}

export const DOCS_PATHS: readonly string[] = ['/docs', '/docs/']
const DOCS_FILES = new Set(['swagger-ui.css', 'swagger-ui-bundle.js'])

const DOCS_PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Weaver API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/open.js"></script></body></html>`

const DOCS_SCRIPT = `window.SwaggerUIBundle({ url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true })\n`

/** All of it comes from this machine: it can be read without a network. */
export async function serveDocs(name: string): Promise<Response | null> {
  if (name === '') return new Response(DOCS_PAGE, { headers: { 'Content-Type': TYPES['.html'] ?? '' } })
  if (name === 'open.js') return new Response(DOCS_SCRIPT, { headers: { 'Content-Type': TYPES['.js'] ?? '' } })
  if (!DOCS_FILES.has(name)) return null
  const folder = join(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'), '..')
  return fileAt(folder, `/${name}`)
}
