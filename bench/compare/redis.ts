/** Redis with an append-only file: without one it keeps nothing over a restart. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, type RunningServer, sparePort, startServer, stopServer } from './server.ts'

export const findRedis = () => findProgram('redis-server')

/** @param fsync `always`: before each answer; `everysec`: a crash of the machine loses about a second */
export async function startRedis(folder: string, fsync: 'always' | 'everysec'): Promise<RunningServer> {
  const data = join(folder, 'redis')
  mkdirSync(data)
  const port = await sparePort()
  const settings = {
    port: `${port}`,
    bind: '127.0.0.1',
    dir: data,
    save: '',
    appendonly: 'yes',
    appendfsync: fsync,
    'maxmemory-policy': 'noeviction',
    daemonize: 'no'
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const child = await startServer(findRedis()!, args, (output) => output.includes('Ready to accept connections'))
  return { host: '127.0.0.1', port, pid: child.pid!, folder: data, stop: () => stopServer(child, 'SIGKILL') }
}
