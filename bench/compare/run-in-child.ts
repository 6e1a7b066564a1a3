/** One run: a fresh folder, a fresh server where the system has one, and a fresh process, all gone afterwards. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ownEnvironment } from '../../runtime/core/own-environment.ts'
import { memoryFolder, writeHandlers } from './bench-actor.ts'
import { initialPostgres, startPostgres } from './postgres.ts'
import type { Extent, Figures, Question } from './question.ts'
import { startRedis } from './redis.ts'
import type { RunningServer } from './server.ts'
import type { System } from './system.ts'

const concurrency = 2
const runMsMax: Record<Extent, number> = { quick: 5 * 60_000, usual: 20 * 60_000, large: 120 * 60_000 }

export interface Workplace {
  folder: string
  /** Ends what still runs, and removes the folder. */
  clear(): Promise<void>
  run(question: Question, system: System, extent: Extent): Promise<Figures>
}

export function makeWorkplace(parent: string): Workplace {
  const folder = mkdtempSync(join(parent, 'compare-'))
  chmodSync(folder, 0o755)
  const inMemory = mkdtempSync(join(memoryFolder(folder), 'compare-'))
  let child: ChildProcess | undefined
  let server: RunningServer | null = null
  let initial: string | undefined

  async function startServerOf(system: System, place: string): Promise<RunningServer | null> {
    switch (system.server) {
      case 'redis everysec':
        return startRedis(place, 'everysec')
      case 'redis always':
        return startRedis(place, 'always')
      case 'postgres':
        initial ??= initialPostgres(folder)
        return startPostgres(place, initial)
      default:
        return null
    }
  }

  async function run(question: Question, system: System, extent: Extent): Promise<Figures> {
    const place = mkdtempSync(join(folder, 'run-'))
    const stampFile = join(inMemory, 'stamps')
    try {
      const handlersFile = writeHandlers(place, stampFile)
      server = await startServerOf(system, place)
      const { stop: _, ...address } = server ?? { stop: null }
      const told = server === null ? null : address
      const request = { question: question.name, system: system.name, extent }
      return await ask({ ...request, place: { folder: place, handlersFile, stampFile, concurrency, server: told } })
    } finally {
      await endAll()
      rmSync(place, { recursive: true, force: true })
    }
  }

  async function ask(request: { extent: Extent; [field: string]: unknown }): Promise<Figures> {
    // It leads a group, so that what it has started ends with it. Standard output is for the table.
    child = fork(new URL('./measured-run.js', import.meta.url), {
      detached: true,
      stdio: ['ignore', 2, 2, 'ipc'],
      env: ownEnvironment()
    })
    const ended = once(child, 'exit')
    const tooLong = setTimeout(() => killGroup(child!), runMsMax[request.extent])
    let figures: Figures | undefined
    child.once('message', (message) => {
      figures = message as Figures
    })
    child.send(request)
    const [code, signal] = await ended
    clearTimeout(tooLong)
    if (figures === undefined) throw new Error(`The run ended with ${signal ?? `code ${code}`} and without figures.`)
    return figures
  }

  async function endAll(): Promise<void> {
    if (child !== undefined) killGroup(child)
    child = undefined
    await server?.stop()
    server = null
  }

  return {
    folder,
    run,
    async clear() {
      await endAll()
      for (const path of [folder, inMemory]) rmSync(path, { recursive: true, force: true })
    }
  }
}

function killGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-pid!, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}
