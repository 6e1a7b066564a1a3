/**
 * `runtime serve`: the supervisor in the foreground.
 *
 * Standard output gets one line, when it is ready to accept. Standard error gets the log: one pino JSON record a line.
 *
 * It ends by SIGTERM or SIGINT, by `runtime stop`, or because the store failed. The first signal stops gracefully:
 * running jobs get 30 s. The second gives them nothing, and two seconds later the process is killed whatever it does.
 * After a graceful stop the exit code is 0; after a failure it is 1.
 *
 * With --watch, actors are reloaded when files below their folders change. A refused reload is logged, with what does
 * not load, and the old code goes on.
 */
import type { Runtime, Service } from '../../core/api.ts'
import type { CatalogueProblem } from '../../core/catalogue.ts'
import type { RuntimeConfig } from '../../core/config.ts'
import { RuntimeError } from '../../core/errors.ts'
import { stopDeadlineMsDefault } from '../../core/limits.ts'
import { packageVersion } from '../../core/version.ts'
import type { StartOptions } from '../../embed/start-runtime.ts'
import { compileChecks } from '../../rpc/dispatch.ts'
import { ActorsWatch } from '../actors-watch.ts'
import { exitByForce, killAfter } from '../end-by-force.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { configurationReader, type GlobalOptions } from '../global-options.ts'
import { type Log, openLog, subscribeLog } from '../job-log.ts'
import type { Output } from '../output.ts'
import { oneLine } from '../text/printable.ts'

export interface ServeOptions {
  actors?: string
  logLevel: string
  skipInvalidEvents?: boolean
  watch?: boolean
}

/** The part of a running supervisor that `serve` works with. */
export interface Running {
  runtime: Runtime
  service: Service
  problems: readonly CatalogueProblem[]
  /** Resolves when it has stopped, whoever asked for it. */
  stopped: Promise<void>
  /** Resolves when the store failed and this process must end. */
  failed: Promise<Error>
  stop(options?: { deadlineMs?: number }): Promise<void>
}

const secondSignalKillMs = 2_000
const failureKillMs = 1_000
const exitMs = 1_000
const stopProgressEveryMs = 5_000

/**
 * @param start builds and starts the parts; throws RuntimeError `DATA_DIR_LOCKED`, `DATA_DIR_INVALID`, `SOCKET_INVALID`
 * @returns when the supervisor has stopped
 */
export async function serve(
  global: GlobalOptions,
  output: Output,
  options: ServeOptions,
  start: (config: RuntimeConfig, options: StartOptions) => Promise<Running>
): Promise<ExitCode> {
  const readConfig = await configurationReader(global, options.actors)
  const config = readConfig()
  const log = openLog(options.logLevel)
  for (const warning of config.warnings) log.warn({ file: config.file }, warning)
  const signals = listenForSignals()
  const watch = new ActorsWatch(config.actors, {
    changed: async () => reload(log, (await starting).runtime),
    failed: (error) => log.error({ err: error }, 'cannot watch the folders of actors')
  })
  if (options.watch === true) await watch.start()
  const starting = start(config, { skipInvalidEvents: options.skipInvalidEvents ?? false, readConfig })
  const running = await starting
  subscribeLog(log, running.service.events)
  for (const { event, problem } of (await running.service.methods['schedule.list']({})).events) {
    if (problem !== null) log.error({ event }, problem)
  }
  for (const { file, message } of running.problems) log.error({ file }, message)
  sayReady(output, config)
  setImmediate(compileChecks)
  signals.each((count, signal) => stopBySignal(log, running, count, signal))
  const code = await endOf(log, running)
  watch.stop()
  return code
}

async function reload(log: Log, runtime: Runtime): Promise<void> {
  try {
    log.info(await runtime.reload(), 'actors reloaded')
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
    log.error({ code: error.code, ...error.data }, error.message)
  }
}

function sayReady(output: Output, config: RuntimeConfig): void {
  const ready = {
    version: packageVersion(),
    pid: process.pid,
    socket: config.socket,
    dataDir: config.dataDir,
    queues: [...config.queues.keys()]
  }
  output.answer(
    ready,
    () =>
      `actor-runtime ${ready.version} ready pid ${ready.pid} ` +
      `socket ${oneLine(ready.socket ?? 'none')} queues ${ready.queues.join(', ')}`
  )
}

async function endOf(log: Log, running: Running): Promise<ExitCode> {
  const failure = await Promise.race([running.stopped, running.failed])
  if (failure === undefined) {
    log.info('stopped')
    // Everything is closed; should something hold the process all the same, nobody would want to wait for it.
    setTimeout(() => process.exit(exitCodes.done), exitMs).unref()
    return exitCodes.done
  }
  log.fatal({ err: failure }, 'the store failed; this process ends')
  return exitByForce(exitCodes.failed, failureKillMs)
}

function stopBySignal(log: Log, running: Running, count: number, signal: NodeJS.Signals): void {
  const deadlineMs = count === 1 ? stopDeadlineMsDefault : 0
  if (count === 2) killAfter(secondSignalKillMs)
  log.info({ signal, deadlineMs }, count === 1 ? 'stopping: running jobs may finish' : 'stopping at once')
  const progress = setInterval(() => void tellRunning(log, running), stopProgressEveryMs)
  running
    .stop({ deadlineMs })
    .catch((error: unknown) => {
      log.fatal({ err: error }, 'stopping failed; this process ends')
      exitByForce(exitCodes.failed, failureKillMs)
    })
    .finally(() => clearInterval(progress))
}

async function tellRunning(log: Log, { runtime }: Running): Promise<void> {
  try {
    const queues = await runtime.queue.list()
    log.info({ running: queues.reduce((sum, queue) => sum + queue.counts.running, 0) }, 'still stopping')
  } catch {
    log.info('still stopping')
  }
}

type SignalListener = (count: number, signal: NodeJS.Signals) => void

/** Listens from the start: a signal during a long start must not kill it half-way, but stop it once it is up. */
function listenForSignals(): { each(listener: SignalListener): void } {
  const arrived: NodeJS.Signals[] = []
  let listener: SignalListener | undefined
  const receive = (signal: NodeJS.Signals) => {
    arrived.push(signal)
    listener?.(arrived.length, signal)
  }
  process.on('SIGTERM', receive)
  process.on('SIGINT', receive)
  return {
    each(given) {
      listener = given
      arrived.forEach((signal, index) => {
        given(index + 1, signal)
      })
    }
  }
}
