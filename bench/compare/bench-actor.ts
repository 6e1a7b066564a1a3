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

  /** Looks now and then until all jobs have started; a look costs little beside them. @returns those of the last look */
  async untilStarted(count: number, withinMs: number): Promise<(Stamp | undefined)[]> {
    const untilMs = monotonicMs() + withinMs
    for (;;) {
      const stamps = this.read(count)
      if (!stamps.includes(undefined) || monotonicMs() > untilMs) return stamps
      await sleep(pollMs)
    }
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
