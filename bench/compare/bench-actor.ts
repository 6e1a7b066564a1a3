/**
 * The handlers that every system runs, as one module that is written into the folder of a run, and what they leave behind.
 *
 * `stamp` writes the instant of its first line into a file, at the place of its job. The instant is `process.hrtime`: on
 * Linux that is CLOCK_MONOTONIC, which is the same in all threads and processes of a machine and is not set by anybody, where
 * `performance.timeOrigin` differs between processes by what has become of the wall clock since. Beside it stands the
 * wall clock, since that is what due times are in. The file lies in memory where there is such a place, so that writing it
 * waits for no disk.
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const stampBytes = 16
const pollMs = 20

export function memoryFolder(otherwise: string): string {
  return existsSync('/dev/shm') ? '/dev/shm' : otherwise
}

/** @returns the file of the module */
export function writeHandlers(folder: string, stampFile: string): string {
  const actors = join(folder, 'actors')
  mkdirSync(actors)
  writeFileSync(stampFile, '')
  const file = join(actors, 'bench.mjs')
  writeFileSync(
    file,
    `import { appendFileSync, openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
const stamps = openSync(${JSON.stringify(stampFile)}, 'r+')
const bytes = Buffer.alloc(${stampBytes})
export function noop() {}
export function stamp({ index }) {
  bytes.writeBigInt64LE(process.hrtime.bigint(), 0)
  bytes.writeDoubleLE(Date.now(), 8)
  writeSync(stamps, bytes, 0, ${stampBytes}, index * ${stampBytes})
}
export function line() {
  appendFileSync(${JSON.stringify(stampFile)}, process.hrtime.bigint() + '\\n')
}
export async function hold() {
  line()
  await sleep(600_000)
}
`
  )
  return file
}

export interface Stamp {
  /** Of the first line, CLOCK_MONOTONIC. */
  atMs: number
  /** The same by the wall clock, whole milliseconds. */
  wallMs: number
}

export class StampFile {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'r+')
  }

  /** Of jobs 0 to `count`; undefined where a job has not started. */
  read(count: number): (Stamp | undefined)[] {
    const bytes = Buffer.alloc(count * stampBytes)
    readSync(this.#file, bytes, 0, bytes.length, 0)
    return Array.from({ length: count }, (_, index) => {
      const ns = bytes.readBigInt64LE(index * stampBytes)
      return ns === 0n ? undefined : { atMs: Number(ns) / 1e6, wallMs: bytes.readDoubleLE(index * stampBytes + 8) }
    })
  }

  /**
   * Looks now and then until all jobs have started, each time only at those behind the first that had not: a look at all of
   * them would hold the thread that it measures for many milliseconds. @returns those of the last look
   */
  async untilStarted(count: number, withinMs: number): Promise<(Stamp | undefined)[]> {
    const untilMs = monotonicMs() + withinMs
    for (let begun = 0; ; ) {
      begun = this.#begunAfter(begun, count)
      if (begun === count || monotonicMs() > untilMs) return this.read(count)
      await sleep(pollMs)
    }
  }

  /** @param from before it all have started @returns the first that has not, or `count` */
  #begunAfter(from: number, count: number): number {
    const bytes = Buffer.alloc(stampBytes)
    for (let index = from; index < count; index++) {
      readSync(this.#file, bytes, 0, stampBytes, index * stampBytes)
      if (bytes.readUInt32LE(0) === 0 && bytes.readUInt32LE(4) === 0) return index
      bytes.fill(0)
    }
    return count
  }

  clear(): void {
    ftruncateSync(this.#file, 0)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** On the clock of {@link Stamp.atMs}. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
