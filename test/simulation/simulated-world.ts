/**
 * A supervisor in a world that the test owns: the real queue, scheduler, wheel and dispatchers, wired by the real supervisor,
 * over a disk in memory, a clock that goes from one moment to the next at once, one source of chance, and threads that follow
 * a script. The machine dies where a fault says so, and starts again over what is on the disk.
 *
 * Nothing in it is real but the turns of the event loop, so all that happens is a function of the seed.
 */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { configFromOptions } from '../../runtime/config/load.ts'
import type { ServiceMethods } from '../../runtime/core/api.ts'
import type { RuntimeConfig, RuntimeOptions } from '../../runtime/core/config.ts'
import { splitMethodPath } from '../../runtime/core/document.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobMessage, PoolListener } from '../../runtime/core/pool.ts'
import type { Catalogue } from '../../runtime/pool/catalogue.ts'
import { findJob } from '../../runtime/queue/stored-job.ts'
import { formatVersion } from '../../runtime/store/records.ts'
import { Store } from '../../runtime/store/store.ts'
import { Supervisor } from '../../runtime/supervisor/supervisor.ts'
import { ArmedTimers } from '../../runtime/wheel/armed-timers.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { randomFrom } from '../support/random.ts'
import { Agenda } from './agenda.ts'
import { type Fault, SimulatedDisk, SimulatedEngine } from './simulated-disk.ts'
import { type PoolWatcher, SimulatedPool } from './simulated-pool.ts'

const startAtMs = Date.UTC(2026, 0, 1)
export const tag = 'sim'
const marker = { product: 'actor-runtime', format: formatVersion, tag, initialised: true } as const
const traceLinesKept = 60

/** Knows the methods that begin with `w.`, which are functions, and with `d.`, which are of documents. */
const catalogue = {
  known: (method: string) => {
    if (!/^[wd]\./.test(method)) return undefined
    const documentType = method.startsWith('d.') ? splitMethodPath(method).type : null
    return { method, file: '/a.js', functionName: 'a', sourceHash: '', documentType }
  },
  resolve: async (method: string) => {
    throw new RuntimeError('METHOD_UNKNOWN', `no ${method}`)
  },
  documentType: (type: string) => ({ type, file: '/a.js', version: 1, methods: [] }),
  list: () => [],
  problems: [],
  stop: () => {}
} as unknown as Catalogue

/** From the start of a supervisor until it has stopped, or its machine has died. */
interface Life {
  supervisor: Supervisor | undefined
  engine: SimulatedEngine
  timers: ArmedTimers
  pools: SimulatedPool[]
  isOver: boolean
}

/** How a request ended. `unknown`: the machine died before it was answered. */
export type Answer<T> =
  | { type: 'acknowledged'; value: T }
  | { type: 'refused'; error: RuntimeError }
  | { type: 'unknown' }

export interface WorldOptions {
  seed: number
  runtime: RuntimeOptions
  watcher: PoolWatcher
  /** Asked before each transaction of the store. */
  faultOf?: (transaction: number) => Fault | undefined
  /** Called behind each commit that wrote something. */
  committed?: (writes: ReadonlyMap<string, Buffer | undefined>) => void
}

export class SimulatedWorld {
  readonly random: () => number
  readonly disk = new SimulatedDisk()
  readonly config: RuntimeConfig
  monotonicMs = 0
  wallStartMs = startAtMs
  isCalm = false
  /** Over all lives. */
  transactions = 0
  lives = 0
  /** Defects that came to light where nobody could be told. */
  readonly defects: unknown[] = []
  readonly #options: WorldOptions
  readonly #agenda = new Agenda()
  readonly #hash = createHash('sha256')
  readonly #lastLines: string[] = []
  readonly #open = new Set<() => void>()
  #life: Life | undefined
  #activity = 0

  constructor(options: WorldOptions) {
    this.#options = options
    this.random = randomFrom(options.seed)
    this.config = configFromOptions(options.runtime, '/')
  }

  get wallMs(): number {
    return Math.floor(this.wallStartMs + this.monotonicMs)
  }

  get isUp(): boolean {
    return this.#life !== undefined && !this.#life.isOver && this.#life.supervisor !== undefined
  }

  get service(): ServiceMethods {
    return this.#life!.supervisor!.service.methods
  }

  /** Ids of the jobs that threads have, in the order in which they were given. */
  get running(): string[] {
    return this.#life!.pools.flatMap(({ running }) => running)
  }

  /** What the disk holds, as a reader of the store. */
  get reader(): SimulatedEngine {
    return new SimulatedEngine(this.disk, {
      faultOf: () => undefined,
      ended: () => {},
      pass: () => {},
      committed: () => {}
    })
  }

  trace = (line: string): void => {
    this.#activity++
    if (line.startsWith('wait ')) this.waits++
    if (line.startsWith('give back ')) this.givenBack++
    const full = `${this.monotonicMs.toFixed(3)} ${line}`
    this.#hash.update(full)
    if (this.#lastLines.push(full) > traceLinesKept) this.#lastLines.shift()
  }

  /** Jobs that waited in a pool for a thread, and those that were given back. */
  waits = 0
  givenBack = 0

  /** The same for two runs in which the same happened. */
  digest(): string {
    return this.#hash.copy().digest('hex')
  }

  get lastLines(): readonly string[] {
    return this.#lastLines
  }

  /** Starts a supervisor. @returns false where the machine died or the disk refused as it started */
  async boot(): Promise<boolean> {
    this.#end()
    this.lives++
    this.trace('boot')
    const life = this.#newLife()
    this.#life = life
    const store = new Store('/simulated', life.engine)
    const clock = { wallMs: () => this.wallMs, monotonicMs: () => this.monotonicMs }
    const held = new Map<string, string>()
    const openPool = (
      { backgroundWorkers }: { backgroundWorkers: number },
      _: unknown,
      __: unknown,
      to: PoolListener
    ) => {
      const { trace, random } = this
      const { watcher } = this.#options
      const nowMs = () => this.monotonicMs
      const isStored = ({ id, attempt }: JobMessage) => {
        const standing = findJob(this.reader, id, tag)?.standing
        return standing?.state === 'running' && standing.made === attempt
      }
      const ground = { agenda: this.#agenda, nowMs, random, trace, watcher, held, isStored, isCalm: () => this.isCalm }
      const pool = new SimulatedPool(backgroundWorkers, to, ground)
      life.pools.push(pool)
      return pool
    }
    try {
      const supervisor = await Supervisor.over(
        this.config,
        { onShutdown: () => {} },
        {
          clock,
          timers: life.timers,
          random: this.random,
          directory: { store, tag, marker, unclean: false, close: () => store.close() },
          catalogue,
          openPool
        }
      )
      if (life.isOver) return false
      life.supervisor = supervisor
      return true
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      this.trace(`not started: ${error.code}`)
      this.#end()
      return false
    }
  }

  /** Stops as `runtime stop` does. */
  async stop(deadlineMs: number): Promise<void> {
    const life = this.#life!
    this.trace('stop')
    let isDone = false
    const stopped = life.supervisor!.drain(deadlineMs).then(() => life.supervisor!.close())
    stopped.then(
      () => {
        isDone = true
      },
      (error) => {
        if (!life.isOver) this.defects.push(error)
      }
    )
    while (!isDone && !life.isOver) {
      await this.rest()
      if (!isDone && !life.isOver && !(await this.advance(Number.POSITIVE_INFINITY))) {
        throw new Error('A stop does not end: nothing is left to happen.')
      }
    }
    this.#end()
  }

  /** The machine dies now. */
  crash(): void {
    this.trace('crash')
    this.#end()
  }

  /** A request of a client; its answer comes as the world goes on. */
  request<T>(what: string, call: (service: ServiceMethods) => Promise<T>): Promise<Answer<T>> {
    this.trace(`request ${what}`)
    const life = this.#life!
    return new Promise((resolve) => {
      const lost = () => resolve({ type: 'unknown' })
      this.#open.add(lost)
      const over = (answer: Answer<T>, told: string) => {
        if (life.isOver || !this.#open.delete(lost)) return
        this.trace(`${told} ${what}`)
        resolve(answer)
      }
      const refused = (error: unknown) => {
        if (error instanceof RuntimeError) over({ type: 'refused', error }, error.code)
        else if (!life.isOver) this.defects.push(error)
      }
      try {
        call(life.supervisor!.service.methods).then((value) => over({ type: 'acknowledged', value }, 'done'), refused)
      } catch (error) {
        refused(error)
      }
    })
  }

  /** Until nothing more happens without time going on. */
  async rest(): Promise<void> {
    for (let quiet = 0; quiet < 2; quiet++) {
      const before = this.#activity
      await nextTurn()
      if (this.#activity !== before) quiet = -1
    }
  }

  /** One turn of the event loop: a commit at most, of what was asked for in the turns before. */
  async turn(): Promise<void> {
    await nextTurn()
  }

  /** Time goes to the next thing that is to happen, and that happens. @returns false where there is none before `untilMs` */
  async advance(untilMs: number): Promise<boolean> {
    const { nextAtMs } = this.#agenda
    if (nextAtMs === undefined || nextAtMs > untilMs) return false
    this.monotonicMs = Math.max(this.monotonicMs, nextAtMs)
    this.#activity++
    this.#agenda.takeNext()()
    await nextTurn()
    return true
  }

  /** Somebody sets the wall clock. */
  setClock(byMs: number): void {
    this.trace(`clock ${byMs}`)
    this.wallStartMs += byMs
  }

  /** Every index, count and record of the store, worked out anew. */
  assertStore(): void {
    // Nothing was committed yet.
    if (this.disk.keys.length === 0) return
    assertInvariants(this.reader, tag, this.config.queues)
  }

  #newLife(): Life {
    const alarm = (action: () => void, delayMs: number) => this.#agenda.add(this.monotonicMs + delayMs, action)
    const life: Life = {
      supervisor: undefined,
      pools: [],
      isOver: false,
      timers: new ArmedTimers({ wallMs: () => this.wallMs, monotonicMs: () => this.monotonicMs }, alarm),
      engine: new SimulatedEngine(this.disk, {
        faultOf: () => {
          // Each takes a turn of its own where one of several was refused, also those that write nothing.
          this.#activity++
          const fault = this.#options.faultOf?.(this.transactions++)
          if (fault !== undefined) this.trace(`fault ${JSON.stringify(fault)}`)
          return fault
        },
        ended: (why) => {
          this.trace(why)
          this.#end()
        },
        pass: (ms) => {
          this.monotonicMs += ms
        },
        committed: (writes) => {
          this.trace('commit')
          for (const [key, value] of writes) {
            // Ids of prepared operations are random.
            if (!key.startsWith('U')) this.#hash.update(key).update(value ?? '-')
          }
          this.#options.committed?.(writes)
        }
      })
    }
    return life
  }

  /** Whatever this life was about to do never happens, and who waits for an answer gets none. */
  #end(): void {
    const life = this.#life
    if (life === undefined || life.isOver) return
    life.isOver = true
    life.engine.die()
    life.timers.stop()
    this.#agenda.clear()
    for (const pool of life.pools) pool.die()
    for (const lost of this.#open) lost()
    this.#open.clear()
  }
}
