import { join } from 'node:path'
import { connect, createRuntime } from '../../runtime/index.ts'
import { documentBehaviour } from './document-behaviour.ts'

const workers = { default: { backgroundWorkers: 2 }, long: { backgroundWorkers: 1 } }

documentBehaviour('createRuntime', async (test, folder) => {
  const runtime = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors'), workers })
  test.after(() => runtime.stop({ deadline: 0 }))
  return runtime
})

documentBehaviour('connect', async (test, folder) => {
  const socket = join(folder, 's')
  const server = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors'), workers, socket })
  test.after(() => server.stop({ deadline: 0 }))
  const runtime = await connect(socket)
  test.after(() => runtime.stop())
  return runtime
})
