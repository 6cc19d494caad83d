/** `npm run test:paper`: the suite of venues against the Alpaca paper account of `.env`. */
import { config } from 'dotenv'
import { runTestFile } from '../chaos/vitest_run.ts'

config({ quiet: true })
if (process.env.ALPACA_PAPER_API_KEY) {
  process.exitCode = await runTestFile('tests/conformance/alpaca_by_hand.test.ts', { WEAVER_TEST_PAPER: '1' })
} else {
  process.stdout.write('skipped: set ALPACA_PAPER_API_KEY and ALPACA_PAPER_API_SECRET in .env to try a paper account\n')
}
