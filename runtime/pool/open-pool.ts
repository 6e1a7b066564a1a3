import type { QueueConfig } from '../core/config.ts'
import type { Pool, PoolListener } from '../core/pool.ts'
import type { Timers } from '../core/timers.ts'
import { hostEnvironment } from './host-environment.ts'
import { HostPool } from './host-pool.ts'
import { threadFlags } from './permissions.ts'
import { ThreadPool } from './thread-pool.ts'

/** @param actors folders of actor modules @returns the pool that the queue's isolation asks for; nothing is started yet */
export function openPool(config: QueueConfig, actors: readonly string[], timers: Timers, listener: PoolListener): Pool {
  const { name, backgroundWorkers, memoryLimitMb, env, permissions, isolation, minHosts, hostIdleMs } = config
  const flags = threadFlags(permissions, actors)
  if (isolation === 'inline') {
    return new ThreadPool({
      queue: name,
      threads: backgroundWorkers,
      listener,
      heapLimitMb: memoryLimitMb,
      execArgv: flags ?? undefined,
      env: inlineEnvironment(env)
    })
  }
  return new HostPool({
    queue: name,
    threads: backgroundWorkers,
    listener,
    memoryLimitMb,
    env: hostEnvironment(env, backgroundWorkers),
    threadFlags: flags,
    idleMs: minHosts > 0 ? null : hostIdleMs,
    timers
  })
}

/** Threads of this process see its variables anyway; those of the queue come on top. */
function inlineEnvironment(env: QueueConfig['env']): Record<string, string> | undefined {
  const own = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== true)
  if (own.length === 0) return undefined
  return { ...(process.env as Record<string, string>), ...Object.fromEntries(own) }
}
