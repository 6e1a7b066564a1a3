import assert from 'node:assert/strict'
import type { ConfigProblem } from '../../runtime/config/problems.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'

/** Runs `load`, which must be refused with `CONFIG_INVALID`. @returns the error and its list of problems */
export function refusal(load: () => unknown): { error: RuntimeError; problems: ConfigProblem[] } {
  try {
    load()
  } catch (error) {
    assert.ok(error instanceof RuntimeError, String(error))
    assert.equal(error.code, 'CONFIG_INVALID')
    return { error, problems: error.data.problems as ConfigProblem[] }
  }
  return assert.fail('The configuration was accepted')
}

/** `line:column path` of each problem. */
export function places(problems: readonly ConfigProblem[]): string[] {
  return problems.map(({ line, column, path }) => `${line}:${column} ${path}`)
}
