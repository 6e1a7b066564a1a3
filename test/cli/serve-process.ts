/**
 * `serve` over parts that do what the first argument says, as a process that can be sent signals:
 * `graceful` stops when asked, `unheard` blocks its only thread at the second request, `broken` fails at once,
 * `locked` does not start.
 */
import { serve } from '../../runtime/cli/commands/serve.ts'
import { exitCodeOf } from '../../runtime/cli/exit-code.ts'
import { Output } from '../../runtime/cli/output.ts'
import { runtimeOver } from '../../runtime/client/facade.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { event, fakeService, queueView } from './fake-service.ts'

const [mode, json] = process.argv.slice(2)
const service = fakeService({
  'queue.list': async () => ({ queues: [queueView()] }),
  'schedule.list': async () => ({ state: 'active', events: [] })
})
const output = new Output(json === '--json', process)

// The real parts hold the process by their sockets and timers.
const held = setInterval(() => {}, 60_000)

let stops = 0
let stopped = () => {}
const running = {
  runtime: runtimeOver({
    call: async () => ({ queues: [], events: [] }),
    subscribe: async () => ({ cursor: '', unsubscribe: async () => {} }),
    stop: async () => {}
  }),
  service,
  problems: [{ file: 'actors/a.js', message: 'does not load' }],
  stopped: new Promise<void>((resolve) => {
    stopped = resolve
  }),
  failed: mode === 'broken' ? Promise.resolve(new Error('EIO')) : new Promise<Error>(() => {}),
  async stop(): Promise<void> {
    stops++
    if (mode === 'unheard' && stops === 2) for (;;);
    if (mode !== 'graceful') return
    clearInterval(held)
    stopped()
  }
}

try {
  process.exitCode = await serve({}, output, { logLevel: 'info' }, async () => {
    if (mode === 'locked') throw new RuntimeError('DATA_DIR_LOCKED', 'Process 7 owns it.')
    queueMicrotask(() => setImmediate(tellEvents))
    return running
  })
} catch (error) {
  clearInterval(held)
  output.error(error)
  process.exitCode = exitCodeOf(error)
}

function tellEvents(): void {
  service.events.emit(event({ type: 'completed' }))
  service.events.emit(event({ type: 'failed', error: { code: 'THROWN', name: 'Error', message: 'no' } }))
}
