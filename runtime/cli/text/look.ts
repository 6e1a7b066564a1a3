import { styleText } from 'node:util'
import type { JobState } from '../../core/lifecycle.ts'

/** How text for people is laid out: where it goes decides colours and width, never the content. */
export interface Look {
  colours: boolean
  /** Columns of the terminal; null where the text does not go to one, so nothing is cut. */
  columns: number | null
  /** Now, in epoch milliseconds, for relative times. */
  nowMs: number
}

/** For pipes and files. */
export function plainLook(nowMs: number): Look {
  return { colours: false, columns: null, nowMs }
}

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan' | 'gray'

export function styled(look: Look, style: Style, text: string): string {
  return look.colours ? styleText(style, text, { validateStream: false }) : text
}

const stateStyles: Readonly<Record<JobState, Style>> = {
  scheduled: 'cyan',
  ready: 'cyan',
  running: 'yellow',
  completed: 'green',
  failed: 'red',
  cancelled: 'gray'
}

export function styledState(look: Look, state: JobState): string {
  return styled(look, stateStyles[state], state)
}
