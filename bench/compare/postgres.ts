/**
 * PostgreSQL with its own defaults: every commit is flushed before it is answered. It refuses to run as root, so there it runs
 * as the user `postgres`, or `nobody`.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, type RunningServer, sparePort, startServer, type stopServer } from './server.ts'

const versionsFolder = '/usr/lib/postgresql'

/** Debian keeps the programs of each version in a folder that is not in the path. */
export const findPostgres = () => findProgram('postgres', programFolders())

function programFolders(): string[] {
  if (!existsSync(versionsFolder)) return []
  return readdirSync(versionsFolder)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(versionsFolder, version, 'bin'))
}

function owner(): string | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = execFileSync('getent', ['passwd'], { encoding: 'utf8' })
  return ['postgres', 'nobody'].find((user) => users.includes(`\n${user}:`))
}

function asOwner(command: string, args: readonly string[]): [string, string[]] {
  const user = owner()
  return user === undefined ? [command, [...args]] : ['runuser', ['-u', user, '--', command, ...args]]
}

/** An empty database, made once and copied for each run. @param folder may be entered by every user */
export function initialPostgres(folder: string): string {
  chmodSync(folder, 0o755)
  const home = join(folder, 'postgres-initial')
  mkdirSync(home)
  own(home)
  const initdb = findProgram('initdb', programFolders())!
  const args = ['-D', join(home, 'data'), '-U', 'bench', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync']
  const [command, rest] = asOwner(initdb, args)
  execFileSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'], cwd: home })
  return join(home, 'data')
}

export async function startPostgres(folder: string, initial: string): Promise<RunningServer> {
  chmodSync(folder, 0o755)
  const home = join(folder, 'postgres')
  const data = join(home, 'data')
  mkdirSync(home)
  cpSync(initial, data, { recursive: true })
  chmodSync(data, 0o700)
  own(home)
  const port = await sparePort()
  const [command, args] = asOwner(findPostgres()!, ['-D', data, '-h', '127.0.0.1', '-p', `${port}`, '-k', home])
  const child = await startServer(command, args, (output) => output.includes('ready to accept connections'))
  return { host: '127.0.0.1', port, pid: child.pid!, folder: data, stop: () => stopPostgres(child, data) }
}

/** `runuser` does not hand a signal on, so the server is stopped by its own command. */
async function stopPostgres(child: Parameters<typeof stopServer>[0], data: string): Promise<void> {
  if (child.exitCode !== null) return
  const [command, args] = asOwner(findProgram('pg_ctl', programFolders())!, ['stop', '-D', data, '-m', 'immediate'])
  execFileSync(command, args, { stdio: 'ignore', cwd: data.slice(0, data.lastIndexOf('/')) })
}

function own(folder: string): void {
  const user = owner()
  if (user !== undefined) execFileSync('chown', ['-R', user, folder])
}
