import { join } from 'node:path'
import { connect, createRuntime } from '../../runtime/index.ts'
import { behaviour } from './behaviour.ts'

behaviour('createRuntime', async (test, folder) => {
  const runtime = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors'), workers })
  test.after(() => runtime.stop({ deadline: 0 }))
  return runtime
})

behaviour('connect', async (test, folder) => {
  const socket = join(folder, 's')
  const server = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors'), workers, socket })
  test.after(() => server.stop({ deadline: 0 }))
  const runtime = await connect(socket)
  test.after(() => runtime.stop())
  return runtime
})

/** One thread for the queue whose order is looked at; bounds for the one in which little else happens. */
const workers = {
  long: { backgroundWorkers: 1 },
  short: {
    backgroundWorkers: 4,
    rateLimit: { max: 3, per: '500ms' },
    retention: { failed: { count: 2 } }
  }
}
