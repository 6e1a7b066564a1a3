import type { RuntimeConfig } from '../core/config.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import { readEvents } from '../scheduler/read-events.ts'

export interface EventProblems {
  /** Events that can never fire, with the reason. */
  invalid: string[]
  /** Events whose method no actor module exports. */
  unknown: string[]
}

/** @param methods that the actors export */
export function checkEvents(config: RuntimeConfig, methods: readonly string[]): EventProblems {
  const { planned, invalid } = readEvents(config)
  const known = new Set(methods)
  return {
    invalid: invalid.map(({ problem }) => problem),
    unknown: planned
      .filter(({ method }) => !known.has(method))
      .map(
        ({ id, method }) => `Scheduler event "${id}": no actor module exports "${method}".${didYouMean(method, known)}`
      )
  }
}
