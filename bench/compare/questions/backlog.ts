/** What does a system hold in memory and on disk when a million jobs wait, and is it slower then? */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { anonymousBytesOf } from '../../process-usage.ts'
import { type Stamp, StampFile } from '../bench-actor.ts'
import { answeredPerSecond, usualPayload } from '../load.ts'
import { type Figures, figure, type Question } from '../question.ts'
import type { Place, StartedSystem } from '../system.ts'
import { ourNames } from '../systems.ts'
import { noops, stampJobs } from './bulk.ts'

const groupJobs = 1_000
const window = 1_000
const startWithinMs = 120_000

export const backlog: Question = {
  name: 'backlog',
  title: 'A million jobs wait',
  about:
    'Jobs of 100 bytes that wait. Memory and disk are what the system holds more than with an empty store, memory without mapped pages of the store (of a system in the process of the caller, what that holds besides is in it). Rates of enqueueing and of starts as shares of those of the empty store. Of the starts the first third is left out: by then the threads, which had nothing to do for minutes, are warm.',
  systems: ['ours, socket', 'BullMQ, fsync each second', 'plainjob, NORMAL', 'pg-boss'],
  roundsMax: 1,
  async measure({ system, place, extent }) {
    const started = await system.start(place)
    const stamps = new StampFile(place.stampFile)
    const probes = extent === 'quick' ? 500 : 60_000
    const forMs = extent === 'quick' ? 200 : 3_000
    const call = (index: number) => started.enqueue({ method: 'noop', params: { index, payload: usualPayload } })
    const look = async () => {
      const starts = await startsPerSecond(started, stamps, probes)
      const enqueues = await answeredPerSecond(window, forMs, call)
      return { starts, enqueues }
    }
    const bytes = () => started.processes().reduce((total, pid) => total + anonymousBytesOf(pid), 0)

    await look()
    const empty = await look()
    await started.work()
    await started.completed()
    await started.rest()
    const [emptyBytes, emptyDisk] = [bytes(), diskBytes(place)]
    const figures: Figures = {}
    stamps.clear()
    // The order of enqueueing is that of starting, so these start before the many.
    await started.enqueueMany(stampJobs(probes))
    let waiting = 0
    for (const target of extent === 'large' && !ourNames.includes(system.name) ? targets.usual : targets[extent]) {
      for (; waiting < target; waiting += groupJobs) await started.enqueueMany(noops(groupJobs, waiting))
      const title = `${target} waiting`
      figures[`${title}: memory`] = figure((bytes() - emptyBytes) / 1e6, 'MB')
      figures[`${title}: disk`] = figure((diskBytes(place) - emptyDisk) / 1e6, 'MB')
      figures[`${title}: enqueues`] = figure((await answeredPerSecond(window, forMs, call)) / empty.enqueues, 'times')
    }
    await started.work()
    const begun = await stamps.untilStarted(probes, startWithinMs)
    figures[`${waiting} waiting: starts`] = figure(perSecond(begun) / empty.starts, 'times')
    await started.rest()
    stamps.close()
    await started.stop()
    return figures
  }
}

const targets = { quick: [2_000], usual: [1_000_000], large: [1_000_000, 10_000_000] }

async function startsPerSecond(started: StartedSystem, stamps: StampFile, count: number): Promise<number> {
  stamps.clear()
  await started.enqueueMany(stampJobs(count))
  await started.work()
  const begun = await stamps.untilStarted(count, startWithinMs)
  await started.completed()
  await started.rest()
  return perSecond(begun)
}

/** Of all but the first third. */
function perSecond(begun: readonly (Stamp | undefined)[]): number {
  const all = begun.flatMap((stamp) => (stamp === undefined ? [] : [stamp.atMs])).toSorted((a, b) => a - b)
  if (all.length < begun.length) return Number.NaN
  const atMs = all.slice(Math.floor(all.length / 3))
  return (1000 * (atMs.length - 1)) / (atMs.at(-1)! - atMs[0]!)
}

/** Of all files of the run, and of the data of a server. */
function diskBytes({ folder, server }: Place): number {
  return [folder, ...(server === null ? [] : [server.folder])].reduce((total, path) => total + bytesBelow(path), 0)
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((total, { parentPath, name }) => total + statSync(join(parentPath, name)).blocks * 512, 0)
}
