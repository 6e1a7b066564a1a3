/** On what was measured: a figure without that says nothing. */
import { statfsSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import { peerVersion } from './peer-packages.ts'
import { findPostgres } from './postgres.ts'
import { findRedis } from './redis.ts'
import { versionOf } from './server.ts'
import type { System } from './system.ts'

const fileSystemsInMemory = [0x01021994, 0x858458f6]

export interface Machine {
  processor: string
  cores: number
  memoryGB: number
  system: string
  node: string
  /** Average of the last minute, before the first run. */
  load: number
  /** Data lies in memory: then a flush costs nothing, and no figure says anything about durable work. */
  dataInMemory: boolean
  /** Of servers and packages. */
  versions: string[]
}

export function describeMachine(folder: string, systems: readonly System[]): Machine {
  const packages = new Set(systems.flatMap((system) => system.packages ?? []))
  const uses = (name: string) => systems.some(({ server }) => server?.startsWith(name))
  const [first] = cpus()
  return {
    processor: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
    load: Math.round(loadavg()[0]! * 100) / 100,
    dataInMemory: fileSystemsInMemory.includes(statfsSync(folder).type),
    versions: [
      ...[...packages].map((name) => `${name} ${peerVersion(name)}`),
      ...(uses('redis') ? [versionOf(findRedis()!).split(' sha')[0]!] : []),
      ...(uses('postgres') ? [versionOf(findPostgres()!)] : [])
    ]
  }
}
