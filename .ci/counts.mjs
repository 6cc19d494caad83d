// Reads what vitest wrote. `tests FILE EXIT_CODE` prints `passed failed skipped`; `coverage FILE PERCENT` exits 1 below it.
import { readFileSync } from 'node:fs'

const [what, file, number] = process.argv.slice(2)
const report = JSON.parse(readFileSync(file, 'utf8'))

if (what === 'tests') {
  const notLoaded = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  ).length
  let failed = report.numFailedTests + notLoaded
  // An error outside any test, or a limit of vitest's own.
  if (failed === 0 && Number(number) !== 0) failed = 1
  console.log(report.numPassedTests, failed, report.numPendingTests + report.numTodoTests)
} else if (what === 'coverage') {
  const percents = ['lines', 'statements', 'functions', 'branches'].map((kind) => [kind, report.total[kind].pct])
  console.log(`${percents.map(([kind, percent]) => `${kind} ${percent} %`).join(', ')}; wanted: ${number} %`)
  if (!percents.every(([, percent]) => percent >= Number(number))) process.exit(1)
} else {
  console.error('usage: counts.mjs tests FILE EXIT_CODE | coverage FILE PERCENT')
  process.exit(2)
}
