/** Turns what a method returned into a plain outcome: JSON text, or `RESULT_INVALID` with the reason. `undefined` counts as null. */
import { resultBytesMax } from '../core/limits.ts'
import type { Outcome } from '../core/pool.ts'
import { jsonText } from './json-text.ts'

export function resultOutcome(value: unknown): Outcome {
  if (value === undefined) return { type: 'completed', result: 'null' }
  const json = jsonText(value, resultBytesMax)
  return 'text' in json
    ? { type: 'completed', result: json.text }
    : invalidOutcome('result of the method', json.refused)
}

/** @param refused as `jsonText` says it */
export function invalidOutcome(what: string, refused: string): Outcome {
  const message = `Cannot keep the ${what}: it ${refused}. Use plain data, and put large data into a file`
  return { type: 'failed', error: { code: 'RESULT_INVALID', name: 'ResultInvalid', message }, final: false }
}
