/**
 * Watches the resident size of a host while jobs run in it. Heaps have a limit of their own; this is for what they do not
 * count, such as buffers. Node cannot say which thread holds what, so a host in which the jobs use more than they may
 * together is ended: alone in their hosts, each next time, it is plain which job it was.
 */
import type { ThreadPool } from './thread-pool.ts'

const lookEveryMs = 50
const bytesPerMb = 1024 * 1024
/** What a thread needs to start, measured: 8 to 10 MiB. It may start while the first job of another one runs. */
const threadStartBytes = 10 * bytesPerMb

export class MemoryWatch {
  readonly #pool: ThreadPool
  readonly #limitBytes: number
  readonly #exceeded: (message: string) => void
  #watch: NodeJS.Timeout | undefined
  /** What the host uses, at least, when all its threads have started. */
  readonly #startedBytes: number
  /** What the host uses without jobs: memory that earlier jobs have used may stay with the process. */
  #idleBytes = 0

  /**
   * @param pool before its start
   * @param exceeded called once, with the reason in words
   */
  constructor(pool: ThreadPool, threads: number, limitMb: number, exceeded: (message: string) => void) {
    this.#startedBytes = process.memoryUsage.rss() + threads * threadStartBytes
    this.#pool = pool
    this.#limitBytes = limitMb * bytesPerMb
    this.#exceeded = exceeded
  }

  /** There may be jobs. */
  look(): void {
    if (this.#watch !== undefined || !this.#pool.busy) return
    this.#idleBytes = Math.max(process.memoryUsage.rss(), this.#startedBytes)
    this.#watch = setInterval(() => this.#lookAgain(), lookEveryMs)
  }

  #lookAgain(): void {
    if (!this.#pool.busy) {
      this.#rest()
      return
    }
    const jobs = this.#pool.running
    const usedBytes = process.memoryUsage.rss() - this.#idleBytes
    // Between two frames no job runs, and others wait.
    if (jobs === 0 || usedBytes <= this.#limitBytes * jobs) return
    this.#rest()
    const [usedMb, limitMb] = [usedBytes, this.#limitBytes].map((bytes) => Math.round(bytes / bytesPerMb))
    const many = jobs === 1 ? 'a job that may use' : `${jobs} jobs that may each use`
    this.#exceeded(`The host used ${usedMb} MiB for ${many} ${limitMb} MiB.`)
  }

  #rest(): void {
    clearInterval(this.#watch)
    this.#watch = undefined
  }
}
