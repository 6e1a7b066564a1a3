/**
 * `H` and `R`: values that a seed chooses, so that many events with the same expression do not all fire at once.
 *
 *     H          one value of the field                H(0-29)      one value of the range
 *     H/15       every 15, from a chosen one below 15   H(30-59)/10  the same within the range
 *
 * `H` gives what croniter gives for a `hash_id` equal to the seed. `R` is drawn anew by croniter each time it is read; here
 * it is as stable as `H`, only different from it, because a schedule that moves at each restart may skip or repeat a run.
 */
import { crc32 } from 'node:zlib'
import { FieldError } from './cron-error.ts'
import type { Field } from './field.ts'

const hashedItem = /^([hr])(?:\((\d{1,4})-(\d{1,4})\))?(?:\/(\d{1,4}))?$/

/**
 * @param text one field in lower case
 * @param index of the field in the expression
 * @returns the field with every `h` and `r` replaced by a number or a stepping range
 * @throws FieldError
 */
export function withoutHashes(field: Field, index: number, text: string, seed: string): string {
  if (!/[hr]/.test(text)) return text
  return text
    .split(',')
    .map((item) => {
      const match = hashedItem.exec(item)
      if (match === null) return item
      const [, kind, low, high, step] = match
      const hash = (kind === 'h' ? crc32(seed) : crc32(`R${index} ${seed}`)) >>> index
      return chosen(field, item, hash, {
        low: Number(low ?? field.min),
        high: Number(high ?? field.max),
        step: step === undefined ? undefined : Number(step)
      })
    })
    .join(',')
}

interface Choice {
  low: number
  high: number
  step: number | undefined
}

function chosen(field: Field, item: string, hash: number, { low, high, step }: Choice): string {
  if (low >= high || low < field.min || high > field.max) {
    throw new FieldError(
      `the range of "${item}" is not within ${field.min} to ${field.max} with the smaller number first.`
    )
  }
  if (step === undefined) return String(low + (hash % (high - low + 1)))
  if (step === 0 || step > high - low + 1)
    throw new FieldError(`the step of "${item}" is not from 1 to ${high - low + 1}.`)
  return `${low + (hash % step)}-${high}/${step}`
}
