/** What is wrong with a configuration, and the one error that tells all of it. */
import { RuntimeError } from '../core/errors.ts'

/** Both count from 1; a column counts UTF-16 units. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** A problem within one source. `path` is the dotted name as the user spelled it; empty where the whole is meant. */
export interface PlacedProblem {
  readonly at: Position | null
  readonly path: string
  readonly message: string
}

/** An entry of `data.problems` of `CONFIG_INVALID`. Line and column count from 1; null where there is no text to point at. */
export interface ConfigProblem {
  file: string | null
  line: number | null
  column: number | null
  path: string
  message: string
}

/**
 * @param file absolute path, or null for options of this program
 * @returns the error, its message one line per problem (`file:line:column: name: what is wrong`), in the order of the text
 */
export function configInvalid(file: string | null, problems: readonly PlacedProblem[]): RuntimeError {
  const listed = [...problems].sort(byPlace).map((problem): ConfigProblem => {
    const { at, path, message } = problem
    return { file, line: at?.line ?? null, column: at?.column ?? null, path: oneLine(path), message: oneLine(message) }
  })
  const count = listed.length === 1 ? '1 problem' : `${listed.length} problems`
  const lines = listed.map((problem) => `  ${describe(problem)}`)
  return new RuntimeError('CONFIG_INVALID', [`Cannot use the configuration, ${count}:`, ...lines].join('\n'), {
    problems: listed
  })
}

function byPlace(left: PlacedProblem, right: PlacedProblem): number {
  if (left.at === null || right.at === null) return 0
  return left.at.line - right.at.line || left.at.column - right.at.column
}

function describe({ file, line, column, path, message }: ConfigProblem): string {
  const place = file === null ? '' : line === null ? file : `${file}:${line}:${column}`
  return [place, path, message].filter((part) => part !== '').join(': ')
}

/** Keys and texts are the user's: a line break or a terminal escape in them must not reach the terminal. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
