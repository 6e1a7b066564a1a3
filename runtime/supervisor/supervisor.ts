/**
 * Builds the parts, starts them in order, stops them in reverse. It knows who, never how.
 *
 *   data directory ─ store ─► queue (recovers) ─► a dispatcher and pool per queue ─► due jobs
 */
import { statfs } from 'node:fs/promises'
import type { DoctorView, StatusView } from '../core/api.ts'
import type { CatalogueProblem } from '../core/catalogue.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import type { RuntimeConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'
import { EventStream } from '../core/events.ts'
import { checkFailPoint, failPoint } from '../core/fail-points.ts'
import { iso } from '../core/instant.ts'
import type { PoolListener } from '../core/pool.ts'
import { packageVersion } from '../core/version.ts'
import { Dispatcher } from '../dispatcher/dispatcher.ts'
import type { Catalogue } from '../pool/catalogue.ts'
import { type PoolOpener, poolOpener } from '../pool/open-pool.ts'
import { requirePermissionModel } from '../pool/permissions.ts'
import { DurableQueue } from '../queue/durable-queue.ts'
import { verifier } from '../queue/verifier.ts'
import { nextInstantOf } from '../scheduler/cron/next-instant.ts'
import { DueWork } from '../scheduler/due-work.ts'
import { readEvents } from '../scheduler/read-events.ts'
import { type Events, Scheduler } from '../scheduler/scheduler.ts'
import { Backups } from '../store/backup.ts'
import { type OpenDataDirectory, openDataDirectory } from '../store/data-directory.ts'
import { formatVersion } from '../store/records.ts'
import { ArmedTimers } from '../wheel/armed-timers.ts'
import { examine } from './doctor.ts'
import { JobService } from './job-service.ts'
import { isIdle, QueueWaiters } from './queue-waiters.ts'
import { Waiters } from './waiters.ts'

export interface SupervisorOptions {
  clock?: Clock
  /** Of the actors of the configuration; it ends with the supervisor. */
  catalogue: Promise<Catalogue>
  /** Events that cannot fire are shown as such, and the others fire. Default: they keep it from starting. */
  skipInvalidEvents?: boolean
  /** The configuration as it is now, for `schedule.migrate`. @throws RuntimeError `CONFIG_INVALID` */
  readConfig?: () => RuntimeConfig
  /** Called when a client asks for a shutdown; returns at once. */
  onShutdown: (deadlineMs: number) => void
}

/** What a supervisor stands on. Those of {@link Supervisor.start} are real; the simulation has its own. */
export interface Ground {
  clock: Clock
  timers: ArmedTimers
  /** From 0 to 1, exclusive. */
  random: () => number
  directory: OpenDataDirectory
  catalogue: Catalogue
  openPool: PoolOpener
}

export class Supervisor {
  readonly service: JobService
  /** Actor modules that cannot be used. */
  readonly problems: readonly CatalogueProblem[]
  /** Jobs that were running when the last supervisor died, and are ready again; of more than 1,000 the others soon. */
  readonly recovered: number
  /** Resolves with the reason when the store failed; the process must end then. */
  readonly failed: Promise<Error>

  readonly #config: RuntimeConfig
  readonly #clock: Clock
  readonly #startedAtMs: number
  readonly #directory: OpenDataDirectory
  readonly #backups: Backups
  readonly #catalogue: Catalogue
  readonly #timers: ArmedTimers
  readonly #queue: DurableQueue
  readonly #dispatchers: ReadonlyMap<string, Dispatcher>
  readonly #dueJobs: DueWork
  readonly #upkeep: DueWork
  readonly #scheduler: Scheduler
  #lastResidentBytes = 0
  #state: 'running' | 'stopping' = 'running'

  /**
   * Resolves when jobs are accepted and run. Where it rejects, the catalogue is the caller's to stop.
   *
   * @throws RuntimeError `DATA_DIR_LOCKED`, `DATA_DIR_INVALID`, `STORAGE_FULL`, `CONFIG_INVALID`: permissions that this Node
   * does not enforce
   */
  static async start(config: RuntimeConfig, options: SupervisorOptions): Promise<Supervisor> {
    // Told before anything is opened.
    checkFailPoint()
    readEventsOf(config, options.skipInvalidEvents ?? false)
    if ([...config.queues.values()].some(({ permissions }) => permissions !== null)) await requirePermissionModel()
    const openPool = await poolOpener(config.queues.values())
    const directory = await openDataDirectory(config.dataDir, verifier)
    try {
      const { clock = systemClock } = options
      const timers = new ArmedTimers(clock)
      const ground = { clock, timers, random: Math.random, directory, catalogue: await options.catalogue, openPool }
      return await Supervisor.over(config, options, ground)
    } catch (error) {
      await directory.close()
      throw error
    }
  }

  /** As {@link Supervisor.start}, over what is open already. Where it fails, that is left open. */
  static async over(
    config: RuntimeConfig,
    {
      onShutdown,
      skipInvalidEvents = false,
      readConfig = () => config
    }: Omit<SupervisorOptions, 'clock' | 'catalogue'>,
    { clock, timers, random, directory, catalogue, openPool }: Ground
  ): Promise<Supervisor> {
    const events = new EventStream({ clock })
    const queue = new DurableQueue({
      store: directory.store,
      tag: directory.tag,
      queues: config.queues,
      maxStoreBytes: config.maxStoreBytes,
      catalogue,
      clock,
      random,
      nextInstant: nextInstantOf(config.schedulerTickIntervalS),
      events,
      listener: {
        room: (name) => dispatchers.get(name)?.room ?? { threads: 0, jobs: 0 },
        claimed: (name, jobs) => dispatchers.get(name)?.claimed(jobs),
        ready: (name) => dispatchers.get(name)?.ready(),
        readyAt: (name, atMs) => dispatchers.get(name)?.wakeAt(atMs),
        scheduled: (atMs) => dueJobs.dueAt(atMs),
        upkeepAt: (atMs) => upkeep.dueAt(atMs),
        cancelled: (name, id) => dispatchers.get(name)?.cancelled(id),
        eventFinished: (id) => scheduler.eventFinished(id),
        committed: () => queueWaiters.committed(),
        eventsLost: () => scheduler.planAgain(),
        isAwaited: (id) => waiters.isAwaited(id),
        ended: (id, job) => waiters.ended(id, job)
      }
    })
    const waiters = new Waiters()
    const queueWaiters = new QueueWaiters((name) => isIdle(queue.queue(name)))
    const dueJobs = new DueWork((nowMs) => queue.promoteDue(nowMs), timers, clock)
    const upkeep = new DueWork((nowMs) => queue.upkeep(nowMs), timers, clock)
    const scheduler = new Scheduler({ queue, catalogue, timers, clock })
    const dispatchers = new Map<string, Dispatcher>()
    for (const [name, queueConfig] of config.queues) {
      const pool = (listener: PoolListener) => openPool(queueConfig, config.actors, timers, listener)
      dispatchers.set(name, new Dispatcher({ config: queueConfig, queue, catalogue, pool, timers, clock, events }))
    }
    // Hosts may have been started by then.
    const orStopPools = <T>(start: Promise<T>) =>
      start.catch(async (error: unknown) => {
        await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.stop(0)))
        throw error
      })
    const recovered = await orStopPools(queue.start((name) => dispatchers.get(name)?.prepare()))
    failPoint('start.recovered')
    const supervisor = new Supervisor(
      {
        config,
        clock,
        directory,
        catalogue,
        timers,
        queue,
        dispatchers,
        dueJobs,
        upkeep,
        scheduler,
        waiters,
        queueWaiters,
        events
      },
      recovered,
      onShutdown,
      () => readEventsOf({ ...readConfig(), queues: config.queues }, skipInvalidEvents)
    )
    // It may fail, on a full disk; what comes after it cannot.
    await orStopPools(scheduler.start(readEventsOf(config, skipInvalidEvents)))
    failPoint('start.scheduled')
    for (const dispatcher of dispatchers.values()) dispatcher.start()
    dueJobs.start()
    upkeep.start()
    return supervisor
  }

  private constructor(
    parts: SupervisorParts,
    recovered: number,
    onShutdown: (deadlineMs: number) => void,
    readEvents: () => Events
  ) {
    this.#config = parts.config
    this.#clock = parts.clock
    this.#startedAtMs = parts.clock.wallMs()
    this.#directory = parts.directory
    this.#backups = new Backups(parts.config.dataDir, parts.directory.marker)
    this.#catalogue = parts.catalogue
    this.#timers = parts.timers
    this.#queue = parts.queue
    this.#dispatchers = parts.dispatchers
    this.#dueJobs = parts.dueJobs
    this.#upkeep = parts.upkeep
    this.#scheduler = parts.scheduler
    this.recovered = recovered
    this.problems = parts.catalogue.problems
    this.failed = parts.directory.store.failed
    this.service = new JobService({
      ...parts,
      status: () => this.#status(),
      doctor: () => this.#doctor(),
      backup: (directory) => this.#backups.make(directory),
      nowMs: () => parts.clock.wallMs(),
      isStopping: () => this.#state === 'stopping',
      readEvents,
      shutdown: onShutdown
    })
  }

  /**
   * Accepts no new work, and resolves when nothing runs any more: jobs that still run after `deadlineMs` are killed and go
   * back to ready. May be called again with a shorter deadline.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#state = 'stopping'
    failPoint('stop.asked')
    this.#backups.stop()
    await this.#scheduler.stop()
    await this.#dueJobs.stop()
    await this.#upkeep.stop()
    await Promise.all([...this.#dispatchers.values()].map((dispatcher) => dispatcher.stop(deadlineMs)))
    this.service.stop()
  }

  /** After {@link Supervisor.drain}: closes the store and gives up the data directory. */
  async close(): Promise<void> {
    this.#catalogue.stop()
    this.#timers.stop()
    await this.#directory.close()
  }

  #status(): StatusView {
    const nowMs = this.#clock.wallMs()
    const { store } = this.#directory
    return {
      version: packageVersion(),
      pid: process.pid,
      state: this.#state === 'running' && store.full ? 'storageFull' : this.#state,
      startedAt: iso(this.#startedAtMs),
      uptimeMs: Math.round(nowMs - this.#startedAtMs),
      dataDir: this.#config.dataDir,
      socket: this.#config.socket,
      node: process.version,
      queues: this.#queue.queues(),
      store: {
        format: formatVersion,
        bytes: store.bytes,
        usedBytes: store.usedBytes,
        bytesMax: this.#config.maxStoreBytes,
        setAside: this.#queue.setAside()
      },
      memory: { residentBytes: this.#residentBytes() }
    }
  }

  /** As it was when it could last be asked for: that takes a descriptor, of which there may be none. */
  #residentBytes(): number {
    try {
      this.#lastResidentBytes = process.memoryUsage.rss()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall !== 'uv_resident_set_memory') throw error
    }
    return this.#lastResidentBytes
  }

  async #doctor(): Promise<DoctorView> {
    return examine({
      nowMs: this.#clock.wallMs(),
      status: this.#status(),
      schedule: this.#scheduler.list(),
      health: this.#queue.health(),
      growth: this.#queue.growth(),
      prepared: this.#queue.outbox.list(undefined),
      limits: this.#config.queues,
      diskFreeBytes: await freeBytesAt(this.#config.dataDir)
    })
  }
}

/** @returns null where the file system does not say */
async function freeBytesAt(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch {
    return null
  }
}

interface SupervisorParts {
  config: RuntimeConfig
  clock: Clock
  directory: OpenDataDirectory
  catalogue: Catalogue
  timers: ArmedTimers
  queue: DurableQueue
  dispatchers: ReadonlyMap<string, Dispatcher>
  dueJobs: DueWork
  upkeep: DueWork
  waiters: Waiters
  queueWaiters: QueueWaiters
  scheduler: Scheduler
  events: EventStream
}

/** @throws RuntimeError `CONFIG_INVALID`, all of them listed, unless `skipInvalid` */
function readEventsOf(config: RuntimeConfig, skipInvalid: boolean): Events {
  const events = readEvents(config)
  if (events.invalid.length === 0 || skipInvalid) return events
  const problems = events.invalid.map(({ id, problem }) => ({
    file: config.file,
    line: null,
    column: null,
    path: `schedulerEvents ${id}`,
    message: problem
  }))
  const list = problems.map(({ message }) => `\n  ${message}`).join('')
  throw new RuntimeError(
    'CONFIG_INVALID',
    `Cannot use the scheduler events; with --skip-invalid-events the others fire.${list}`,
    { problems }
  )
}
