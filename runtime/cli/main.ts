#!/usr/bin/env node
import { run } from './run.ts'

// A reader that has seen enough (`runtime events | head`) closes the pipe: that is an end, not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

void run(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})
