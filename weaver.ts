#!/usr/bin/env node
/** Weaver's entry: parses the command line, calls, exits. */
import { endOnUncaught, runCli } from './jobs/cli/main.ts'

endOnUncaught()
process.exitCode = await runCli(process.argv.slice(2))
