/** How long after a kill does the next job start: of the supervisor, which is started again at once, and of a host process? */
import { connect } from '../../../runtime/client/connect.ts'
import { hostsOf } from '../../../test/isolation/process-tree.ts'
import { monotonicMs } from '../bench-actor.ts'
import { figure, type Question } from '../question.ts'
import { LineFile, serve } from './served.ts'

const threads = 2

export const kill: Question = {
  name: 'kill',
  title: 'From a kill to the next start',
  about:
    'SIGKILL with 2 jobs running and 8 waiting. The jobs that ran are run again. Peers wait for their leases, as they come: BullMQ about a minute, pg-boss 15, plainjob 30, graphile-worker 4 h; not measured here.',
  systems: ['ours, socket'],
  async measure({ place }) {
    const lines = new LineFile(place.stampFile)
    const first = await serve(place.folder)
    const runtime = await connect(first.socket)
    await runtime.enqueueMany(Array.from({ length: 10 }, () => ({ method: 'bench.hold' })))
    await lines.untilMs(threads)

    lines.clear()
    const hostKilledMs = monotonicMs()
    for (const host of hostsOf(first.pid)) process.kill(host, 'SIGKILL')
    const afterHostMs = (await lines.untilMs(1)) - hostKilledMs
    await lines.untilMs(threads)

    await runtime.stop()
    lines.clear()
    const killedMs = monotonicMs()
    await first.kill()
    const second = await serve(place.folder)
    const afterKillMs = (await lines.untilMs(1)) - killedMs
    await second.kill()
    return { supervisor: figure(afterKillMs, 'ms'), host: figure(afterHostMs, 'ms') }
  }
}
