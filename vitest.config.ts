import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Where files take tens of seconds, also short ones. */
const LONG = ['/tests/chaos/', '/tests/e2e/', '/tests/hard_cases/', '/tests/mutants/']

/** Where no earlier run is known files go by their size: a long one that comes last has a worker to itself, and the other idles. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((folder) => moduleId.includes(folder))
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', 'web/build/**', 'web/.svelte-kit/**', 'strategies/local/**'],
    globalSetup: ['tests/support/postgres.ts'],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    testTimeout: 90_000,
    hookTimeout: 120_000,
    coverage: {
      provider: 'v8',
      include: ['db/**/*.ts', 'jobs/**/*.ts', 'api/**/*.ts', 'strategies/**/*.ts', 'weaver.ts'],
      exclude: ['**/*.test.ts', '**/*.d.ts', 'strategies/local/**'],
      reportsDirectory: 'coverage',
      reporter: ['text-summary', 'html', 'lcovonly'],
      thresholds: { statements: 80, branches: 80, functions: 80, lines: 80 },
    },
  },
})
