/** What the other systems need on this machine, whether it is there, and how to get it. */
import { execFileSync } from 'node:child_process'
import { installPeerPackages, peerVersion } from './peer-packages.ts'
import { findPostgres } from './postgres.ts'
import { findRedis } from './redis.ts'
import { findProgram } from './server.ts'
import type { System } from './system.ts'

/** @returns undefined where nothing is missing */
export function whyMissing({ server, packages = [] }: System): string | undefined {
  const missing = packages.find((name) => peerVersion(name) === undefined)
  if (missing !== undefined) return `${missing} is not installed (npm run bench -- --peers)`
  if (server?.startsWith('redis') && findRedis() === undefined) return 'redis-server is not installed'
  if (server === 'postgres' && findPostgres() === undefined) return 'PostgreSQL is not installed'
  return undefined
}

/** What cannot be installed is said, and left out of the comparison. */
export function installPeers(): void {
  attempt('the npm packages of the peers', installPeerPackages)
  const missing = [
    ...(findRedis() === undefined ? ['redis-server'] : []),
    ...(findPostgres() === undefined ? ['postgresql'] : [])
  ]
  if (missing.length > 0) attempt(missing.join(' and '), () => installDebianPackages(missing))
}

function attempt(what: string, install: () => void): void {
  console.error(`Installing ${what}…`)
  try {
    install()
  } catch (error) {
    console.error(`Cannot install ${what}: ${(error as Error).message}\nWhat needs it is left out.`)
  }
}

/** Their services are not started: the benchmark starts servers of its own. */
function installDebianPackages(names: readonly string[]): void {
  if (findProgram('apt-get') === undefined) throw new Error('there is no apt-get here; install it by hand.')
  if (process.getuid?.() !== 0) throw new Error(`only root may; run: apt-get install ${names.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  execFileSync('apt-get', ['install', '--yes', '--no-install-recommends', ...names], { stdio: ['ignore', 2, 2], env })
}
