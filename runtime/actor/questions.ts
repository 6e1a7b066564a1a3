/**
 * What jobs ask of their supervisor while they run. The answers come over the port of the thread, in any order. A thread whose
 * jobs never ask never listens. The port holds a reference only while a question is open, so it is nothing that a job left
 * behind; once the attempt is over no answer arrives any more, and what waits for one waits for ever.
 */
import type { MessagePort } from 'node:worker_threads'
import { RuntimeError } from '../core/errors.ts'
import type { JobAnswer, JobQuestion, JobQuestions } from '../core/pool.ts'
import type { JobWord, ThreadAnswer } from './messages.ts'

/** Resolves with the answer. @throws RuntimeError with which the supervisor refuses */
export type Ask = <Type extends keyof JobQuestions>(
  type: Type,
  question: Parameters<JobQuestions[Type]>[0]
) => Promise<ReturnType<JobQuestions[Type]>>

/** The questions of the jobs of a thread, one of which runs at a time. */
export class Questions {
  readonly #port: MessagePort
  readonly #open = new Map<number, (answer: JobAnswer) => void>()
  #asked = 0
  /** Number of the attempt that may ask. */
  #attempt = 0

  constructor(port: MessagePort) {
    this.#port = port
  }

  /** An attempt may ask from now on. @param tell tells its questions to the pool */
  begin(tell: (asked: JobWord & { type: 'asked' }) => void): Ask {
    this.#attempt += 1
    const attempt = this.#attempt
    return (type, question) =>
      new Promise((resolve, reject) => {
        if (attempt !== this.#attempt) return
        if (this.#asked === 0) this.#port.on('message', this.#hear)
        else if (this.#open.size === 0) this.#port.ref()
        this.#asked += 1
        this.#open.set(this.#asked, (answer) => {
          if (answer.type === 'answered') resolve(answer.value as never)
          else reject(new RuntimeError(answer.code, answer.message, answer.data))
        })
        tell({ type: 'asked', number: this.#asked, question: { type, ...question } as JobQuestion })
      })
  }

  /** The attempt is over. */
  close(): void {
    this.#attempt += 1
    if (this.#open.size === 0) return
    this.#open.clear()
    this.#port.unref()
  }

  readonly #hear = ({ number, answer }: ThreadAnswer): void => {
    const settle = this.#open.get(number)
    if (settle === undefined) return
    this.#open.delete(number)
    if (this.#open.size === 0) this.#port.unref()
    settle(answer)
  }
}
