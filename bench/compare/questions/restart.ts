/** How long after the start of a supervisor that crashed with a million jobs does the first of them run? */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { figure, type Question } from '../question.ts'
import { LineFile, serve } from './served.ts'

export const restart: Question = {
  name: 'restart',
  title: 'Restart after a crash',
  about:
    'The supervisor was killed with 1,000,000 jobs waiting and 100,000 running. From the start of the new process.',
  systems: ['ours, socket'],
  roundsMax: 3,
  async measure({ place, extent }) {
    const [waiting, running] = extent === 'quick' ? [2_000, 500] : [1_000_000, 100_000]
    const lines = new LineFile(place.stampFile)
    // It kills itself when the store is full, and leaves it as a crash does.
    const filler = fork(new URL('../fill-store.js', import.meta.url), [place.folder, `${waiting}`, `${running}`])
    const [, signal] = await once(filler, 'exit')
    if (signal !== 'SIGKILL') throw new Error('The store was not filled.')
    const served = await serve(place.folder)
    const firstMs = await lines.untilMs(1)
    await served.kill()
    return {
      ready: figure(served.readyAtMs - served.startedAtMs, 'ms'),
      'first job starts': figure(firstMs - served.startedAtMs, 'ms')
    }
  }
}
