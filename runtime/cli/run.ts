import { CommanderError } from 'commander'
import { type ExitCode, exitCodeOf, exitCodes } from './exit-code.ts'
import { Output, type Streams } from './output.ts'
import { buildProgram } from './program.ts'

/**
 * Runs one command line and says on the standard streams what came of it.
 *
 * @param args without node and script
 * @param streams default: those of this process
 * @returns the exit code; nothing is thrown
 */
export async function run(args: readonly string[], streams: Streams = process): Promise<ExitCode> {
  let code: ExitCode = exitCodes.done
  const program = buildProgram(streams, (finished) => {
    code = finished
  })
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    // The command line may be what is wrong, so it is not asked whether it says --json.
    const output = new Output(args.includes('--json'), streams)
    return error instanceof CommanderError ? endOfParsing(error, output) : endWithError(error, output)
  }
}

/** Commander ends by an error for `--help` and `--version` too. */
function endOfParsing(error: CommanderError, output: Output): ExitCode {
  if (error.exitCode === 0) return exitCodes.done
  // Called without a command: the help that was printed says it all.
  if (error.code !== 'commander.help') output.usageError(error.message.replace(/^error: /, ''))
  return exitCodes.usage
}

function endWithError(error: unknown, output: Output): ExitCode {
  output.error(error)
  return exitCodeOf(error)
}
