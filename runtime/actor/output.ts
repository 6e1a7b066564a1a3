/**
 * What jobs print belongs to their log, never to standard output of the process around them: that carries the answers of
 * commands. So in a thread, what is written to `process.stdout` and `process.stderr`, `console` included, becomes lines of
 * the running job's log: `info` from stdout, `warn` from stderr. Nobody's output, between jobs, is dropped.
 *
 * Out of reach: writes to file descriptor 1 itself, such as `fs.writeSync(1, …)`, addons, and child processes that were
 * given `stdio: 'inherit'`.
 */
import { Console } from 'node:console'
import type { Context } from '../core/context.ts'
import { logLineCharsMax } from '../core/limits.ts'

let owner: Pick<Context, 'log'> | undefined

/** Output goes to the log of this job until {@link endOutput}. */
export function sendOutputTo(job: Pick<Context, 'log'>): void {
  owner = job
}

/** Passes on a last line without an end. */
export function endOutput(): void {
  for (const flush of flushes) flush()
  owner = undefined
}

const flushes = [capture(process.stdout, 'info'), capture(process.stderr, 'warn')]

// On Deno the console of a thread writes to the file descriptors of the process itself.
Object.assign(console, new Console(process.stdout, process.stderr))

/** @returns the function that passes on what has no line end yet */
function capture(stream: NodeJS.WriteStream, level: 'info' | 'warn'): () => void {
  let line = ''
  const flush = () => {
    if (line !== '') owner?.log[level]('%s', line.endsWith('\r') ? line.slice(0, -1) : line)
    line = ''
  }
  const write = (chunk: string | Uint8Array, encoding?: unknown, written?: unknown): boolean => {
    const [first = '', ...others] = textOf(chunk, encoding).split('\n')
    line += first
    for (const other of others) {
      flush()
      line = other
    }
    if (line.length > logLineCharsMax) flush()
    const callback = typeof encoding === 'function' ? encoding : written
    if (typeof callback === 'function') process.nextTick(callback as () => void)
    return true
  }
  stream.write = write as typeof stream.write
  return flush
}

function textOf(chunk: string | Uint8Array, encoding: unknown): string {
  if (typeof chunk !== 'string') return Buffer.from(chunk).toString()
  const isEncoded = encoding === 'hex' || encoding === 'base64' || encoding === 'base64url'
  return isEncoded ? Buffer.from(chunk, encoding).toString() : chunk
}
