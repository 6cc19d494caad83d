#!/usr/bin/env node
/** Weaver's entry: parses the command line, calls, exits. */
import { runCli } from './jobs/cli/main.ts'

process.exitCode = await runCli(process.argv.slice(2))
