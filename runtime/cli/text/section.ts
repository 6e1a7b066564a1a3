import { type Look, styled } from './look.ts'
import { indented } from './printable.ts'

/** A title, and below it what it is about, indented. */
export function section(look: Look, title: string, text: string): string {
  return `${styled(look, 'dim', title)}\n${indented(text)}`
}
