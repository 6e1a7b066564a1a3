/** What does a supervisor cost that has nothing to do? Asked of `bench/idle`, which says how it measures. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { figure, type Question } from '../question.ts'

const program = fileURLToPath(new URL('../../idle/idle.js', import.meta.url))

export const idle: Question = {
  name: 'idle',
  title: 'Idle for a minute',
  about:
    '100,000 jobs scheduled in an hour, 100 scheduler events, nobody connected; all threads and processes of `runtime serve`.',
  systems: ['ours, socket'],
  roundsMax: 2,
  async measure({ place, extent }) {
    const seconds = extent === 'quick' ? 2 : 60
    const jobs = extent === 'quick' ? 1_000 : 100_000
    const child = spawn(process.execPath, [program, '--seconds', `${seconds}`, '--jobs', `${jobs}`, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Its data goes with the run, however that ends.
      env: { ...process.env, TMPDIR: place.folder }
    })
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')])
    const { cpuSeconds, voluntarySwitches, involuntarySwitches } = JSON.parse(output) as Record<string, number>
    return {
      'CPU time': figure(cpuSeconds!, 's'),
      'context switches': figure(voluntarySwitches! + involuntarySwitches!, 'count')
    }
  }
}
