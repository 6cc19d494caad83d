#!/usr/bin/env node
/** Weaver's entry: parses the command line, calls, exits. */
import { endOnUncaught, runCli } from './jobs/cli/main.ts'

endOnUncaught()
const args = process.argv.slice(2)
process.exitCode = await runCli(args)
// A connection on which nothing comes must not keep whoever halts.
if (args.find((word) => word !== '--') === 'halt') setTimeout(() => process.exit(), 1_000).unref()
