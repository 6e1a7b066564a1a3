/**
 * What a job asks of its supervisor while it runs. The answers come over the port of the task, in any order. A job that never
 * asks never listens. The port holds a reference only while a question is open, so it is nothing that the job left behind;
 * once the attempt is over no answer arrives any more, and what waits for one waits for ever.
 */
import type { MessagePort } from 'node:worker_threads'
import { RuntimeError } from '../core/errors.ts'
import type { JobAnswer, JobQuestion, JobQuestions } from '../core/pool.ts'
import type { ThreadAnswer, ThreadMessage } from './messages.ts'

/** Resolves with the answer. @throws RuntimeError with which the supervisor refuses */
export type Ask = <Type extends keyof JobQuestions>(
  type: Type,
  question: Parameters<JobQuestions[Type]>[0]
) => Promise<ReturnType<JobQuestions[Type]>>

export class Questions {
  readonly #port: MessagePort
  readonly #open = new Map<number, (answer: JobAnswer) => void>()
  #asked = 0
  #isClosed = false

  constructor(port: MessagePort) {
    this.#port = port
  }

  readonly ask: Ask = (type, question) =>
    new Promise((resolve, reject) => {
      if (this.#isClosed) return
      if (this.#asked === 0) this.#port.on('message', this.#hear)
      else if (this.#open.size === 0) this.#port.ref()
      this.#asked += 1
      this.#open.set(this.#asked, (answer) => {
        if (answer.type === 'answered') resolve(answer.value as never)
        else reject(new RuntimeError(answer.code, answer.message, answer.data))
      })
      const asked: ThreadMessage = {
        type: 'asked',
        number: this.#asked,
        question: { type, ...question } as JobQuestion
      }
      this.#port.postMessage(asked)
    })

  /** The attempt is over. */
  close(): void {
    this.#isClosed = true
    if (this.#asked === 0) return
    this.#open.clear()
    this.#port.off('message', this.#hear)
    this.#port.unref()
  }

  readonly #hear = ({ number, answer }: ThreadAnswer): void => {
    const settle = this.#open.get(number)
    this.#open.delete(number)
    if (this.#open.size === 0) this.#port.unref()
    settle?.(answer)
  }
}
