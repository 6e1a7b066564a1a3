import { run } from '../../runtime/cli/run.ts'

export interface Answered {
  code: number
  stdout: string
  stderr: string
}

/** Runs a command line in this process and collects what it says. Its folder is the one of the tests, so name a socket. */
export async function runCli(args: readonly string[]): Promise<Answered> {
  const said = { stdout: '', stderr: '' }
  const into = (name: keyof typeof said) => ({
    write(text: unknown): boolean {
      said[name] += String(text)
      return true
    }
  })
  const code = await run(args, { stdout: into('stdout'), stderr: into('stderr') })
  return { code, ...said }
}
