import type { Readable } from 'node:stream'
import { logLineCharsMax } from '../core/limits.ts'

/**
 * Reads a stream line by line. Of a line that is longer than a log keeps, the rest is dropped, so no output can fill the
 * memory of the reader.
 *
 * @param tell called with each line, without its end
 * @returns the function that tells what has no line end yet; at the end of the stream that happens by itself
 */
export function readLines(stream: Readable, tell: (line: string) => void): () => void {
  let line = ''
  const told = () => {
    const whole = line.endsWith('\r') ? line.slice(0, -1) : line
    line = ''
    tell(whole)
  }
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const [first = '', ...others] = chunk.split('\n')
    line += first.slice(0, logLineCharsMax - line.length)
    for (const other of others) {
      told()
      line = other.slice(0, logLineCharsMax)
    }
  })
  const flush = () => {
    if (line !== '') told()
  }
  stream.on('end', flush)
  return flush
}
