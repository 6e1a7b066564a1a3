/** Every system by its name, in the order of the tables. */
import type { System } from './system.ts'
import { bullmqAlways, bullmqEachSecond, bullmqThreads } from './systems/bullmq.ts'
import { graphileWorker } from './systems/graphile-worker.ts'
import { barePiscina, flush, lmdbAndPiscina, lmdbPut, socketEcho } from './systems/limits.ts'
import { ours, oursInline, oursOverSocket } from './systems/ours.ts'
import { pgBoss } from './systems/pg-boss.ts'
import { plainjobFull, plainjobNormal } from './systems/plainjob.ts'

const all: readonly System[] = [
  ours,
  oursInline,
  oursOverSocket,
  bullmqEachSecond,
  bullmqAlways,
  bullmqThreads,
  plainjobNormal,
  plainjobFull,
  graphileWorker,
  pgBoss,
  barePiscina,
  lmdbPut,
  lmdbAndPiscina,
  flush,
  socketEcho
]

export const systems: ReadonlyMap<string, System> = new Map(all.map((system) => [system.name, system]))

export const ourNames = [ours, oursInline, oursOverSocket].map(({ name }) => name)
export const queueNames = all.filter(({ name }) => !name.startsWith('limit:')).map(({ name }) => name)
