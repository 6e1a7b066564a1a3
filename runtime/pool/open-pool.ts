import type { QueueConfig } from '../core/config.ts'
import type { Pool, PoolListener } from '../core/pool.ts'
import type { Timers } from '../core/timers.ts'
import { hostEnvironment } from './host-environment.ts'
import { HostPool } from './host-pool.ts'
import { threadFlags } from './permissions.ts'

/** @param actors folders of actor modules @returns the pool that the queue's isolation asks for; nothing is started yet */
export type PoolOpener = (
  config: QueueConfig,
  actors: readonly string[],
  timers: Timers,
  listener: PoolListener
) => Pool

/** @param configs of all queues whose pools are to be opened: without an inline one, what threads need is not loaded here */
export async function poolOpener(configs: Iterable<QueueConfig>): Promise<PoolOpener> {
  if ([...configs].every(({ isolation }) => isolation !== 'inline')) return openHostPool
  const { ThreadPool } = await import('./thread-pool.ts')
  return (config, actors, timers, listener) => {
    if (config.isolation !== 'inline') return openHostPool(config, actors, timers, listener)
    const { name, backgroundWorkers, memoryLimitMb, env, permissions } = config
    return new ThreadPool({
      queue: name,
      threads: backgroundWorkers,
      listener,
      heapLimitMb: memoryLimitMb,
      execArgv: threadFlags(permissions, actors) ?? undefined,
      env: inlineEnvironment(env)
    })
  }
}

function openHostPool(config: QueueConfig, actors: readonly string[], timers: Timers, listener: PoolListener): Pool {
  const { name, backgroundWorkers, memoryLimitMb, env, permissions, minHosts, hostIdleMs } = config
  return new HostPool({
    queue: name,
    threads: backgroundWorkers,
    listener,
    memoryLimitMb,
    env: hostEnvironment(env, backgroundWorkers),
    threadFlags: threadFlags(permissions, actors),
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
