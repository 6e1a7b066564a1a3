/** How long until `runtime serve` accepts jobs, and until a command has answered? */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { percentile } from '../../percentile.ts'
import { monotonicMs } from '../bench-actor.ts'
import { type Figures, figure, type Question } from '../question.ts'
import { cli, serve } from './served.ts'

const commands = {
  '`runtime status`': [cli, 'status', '--json'],
  '`runtime enqueue`': [cli, 'enqueue', 'bench.noop', '--json'],
  '`runtime --help`': [cli, '--help'],
  'limit: `node -e 0`': ['-e', '0']
}

export const ready: Question = {
  name: 'ready',
  title: 'Time to ready',
  about:
    'From the start of the process to its line, on a store that is there already, and to the end of a command. Medians of 10.',
  systems: ['ours, socket'],
  async measure({ place, extent }) {
    const times = extent === 'quick' ? 2 : 10
    const { kill } = await serve(place.folder)
    await kill()
    const starts: number[] = []
    for (let index = 0; index < times; index++) {
      const { startedAtMs, readyAtMs, pid } = await serve(place.folder)
      starts.push(readyAtMs - startedAtMs)
      await stop(pid, place.folder)
    }
    const served = await serve(place.folder)
    const figures: Figures = { '`runtime serve`': figure(percentile(starts, 0.5), 'ms') }
    for (const [title, args] of Object.entries(commands)) {
      const took: number[] = []
      for (let index = 0; index < times; index++) took.push(await run(args, place.folder))
      figures[title] = figure(percentile(took, 0.5), 'ms')
    }
    await served.kill()
    return figures
  }
}

/** Closed well, so that the next start has nothing to look after. */
async function stop(pid: number, folder: string): Promise<void> {
  await run([cli, 'stop', '--json'], folder)
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** @returns milliseconds */
async function run(args: readonly string[], folder: string): Promise<number> {
  const fromMs = monotonicMs()
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`node ${args.join(' ')} ended with ${code}.`)
  return monotonicMs() - fromMs
}
