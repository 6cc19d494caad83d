import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', 'web/build/**', 'web/.svelte-kit/**', 'strategies/local/**'],
    globalSetup: ['tests/support/postgres.ts'],
    pool: 'forks',
    maxWorkers: 2,
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
