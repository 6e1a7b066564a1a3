import { text } from 'node:stream/consumers'
import { RuntimeError } from '../core/errors.ts'

/**
 * JSON that was typed as an argument, or all of standard input where the argument is `-`.
 *
 * @param what names the argument in the message, such as `--params`
 * @throws RuntimeError `PARAMS_INVALID`
 */
export async function readJsonArgument(what: string, argument: string): Promise<unknown> {
  const json = argument === '-' ? await text(process.stdin) : argument
  try {
    return JSON.parse(json)
  } catch (error) {
    const source = argument === '-' ? `Standard input (${what} -)` : what
    throw new RuntimeError('PARAMS_INVALID', `${source} is not JSON: ${(error as Error).message}`)
  }
}
