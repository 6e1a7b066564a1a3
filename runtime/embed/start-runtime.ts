/**
 * A whole runtime in this process: the supervisor, the socket where one is configured, and the handle that programs hold.
 * `runtime serve` and `createRuntime` are both this.
 */

import type { Runtime, Service } from '../core/api.ts'
import type { CatalogueProblem } from '../core/catalogue.ts'
import type { RuntimeConfig } from '../core/config.ts'
import { durationToMs } from '../core/duration.ts'
import { failPoint } from '../core/fail-points.ts'
import { stopDeadlineMsDefault } from '../core/limits.ts'
import { type Catalogue, startCatalogue } from '../pool/catalogue.ts'
import { ScanChild } from '../pool/module-scan.ts'
import type { SupervisorOptions } from '../supervisor/supervisor.ts'

export interface StartOptions extends Pick<SupervisorOptions, 'clock' | 'skipInvalidEvents' | 'readConfig'> {
  /** Told of defects in the service of a socket request. Default: they are written to standard error. */
  onInternalError?: (error: unknown, method: string) => void
  /** The process that looks through the actors, where it was started before. It ends with the start. */
  scanChild?: ScanChild
}

/** Starts what a start waits for longest, which needs no configuration. */
export function startScanChild(): ScanChild {
  return new ScanChild()
}

export interface StartedRuntime {
  runtime: Runtime
  service: Service
  /** Actor modules that cannot be used. */
  problems: readonly CatalogueProblem[]
  /** Jobs that were running when the last supervisor died, and are ready again; of more than 1,000 the others soon. */
  recovered: number
  /** Resolves when it has been stopped, by whomever. */
  stopped: Promise<void>
  /** Resolves with the reason when the store failed: nothing is acknowledged any more, and the process must end. */
  failed: Promise<Error>
  /**
   * Accepts no new work, gives running jobs `deadlineMs` (default 30 s), returns those that still run to ready, closes.
   * May be called again with a shorter deadline; all calls resolve when everything is closed.
   */
  stop(options?: { deadlineMs?: number }): Promise<void>
}

/**
 * @throws RuntimeError `DATA_DIR_LOCKED`, `DATA_DIR_INVALID`, `STORAGE_FULL`, `SOCKET_INVALID`
 */
export async function startRuntime(config: RuntimeConfig, options: StartOptions = {}): Promise<StartedRuntime> {
  const abort = new AbortController()
  // A process of its own looks through the actors; what else is needed is loaded meanwhile.
  const catalogue = startCatalogue(config.actors, { abort, child: options.scanChild })
  catalogue.catch(() => {})
  try {
    return await startOver(config, catalogue, options)
  } catch (error) {
    abort.abort()
    throw error
  } finally {
    options.scanChild?.stop()
  }
}

async function startOver(
  config: RuntimeConfig,
  catalogue: Promise<Catalogue>,
  { onInternalError = reportDefect, ...supervisorOptions }: StartOptions
): Promise<StartedRuntime> {
  const [{ Supervisor }, { RpcServer }, { runtimeOver }, { localTransport }] = await Promise.all([
    import('../supervisor/supervisor.ts'),
    import('../rpc/server.ts'),
    import('../client/facade.ts'),
    import('../client/local-transport.ts')
  ])
  const supervisor = await Supervisor.start(config, {
    ...supervisorOptions,
    catalogue,
    // The caller gets its answer before anything stops.
    onShutdown: (deadlineMs) => setImmediate(() => void stop({ deadlineMs }))
  })
  const { service } = supervisor
  const server =
    config.socket === null ? undefined : new RpcServer({ service, socketPath: config.socket, onInternalError })

  let hasStopped!: () => void
  const stopped = new Promise<void>((resolve) => {
    hasStopped = resolve
  })
  let closing: Promise<void> | undefined

  async function stop({ deadlineMs = stopDeadlineMsDefault }: { deadlineMs?: number } = {}): Promise<void> {
    const drained = supervisor.drain(deadlineMs)
    closing ??= drained.then(close)
    await closing
  }

  async function close(): Promise<void> {
    failPoint('stop.drained')
    await server?.stop()
    failPoint('stop.disconnected')
    await supervisor.close()
    failPoint('stop.closed')
    hasStopped()
  }

  try {
    failPoint('start.listening')
    await server?.start()
  } catch (error) {
    await stop({ deadlineMs: 0 })
    throw error
  }
  const runtime = runtimeOver(
    localTransport(service, ({ deadline }) =>
      stop(deadline === undefined ? {} : { deadlineMs: durationToMs(deadline)! })
    )
  )
  return {
    runtime,
    service,
    problems: supervisor.problems,
    recovered: supervisor.recovered,
    stopped,
    failed: supervisor.failed,
    stop
  }
}

function reportDefect(error: unknown, method: string): void {
  console.error(`actor-runtime: defect in ${method}:`, error)
}
