/**
 * `runtime.outbox`: prepares operations, and sees to it that each entry is decided. Who prepared one decides it, with `commit`
 * or `abort`. About one that is undecided after its timeout, be it of this process or of an earlier one, `decide` is asked, and
 * asked again after the timeout for as long as it does not know. An outbox without `decide` leaves all that to its user.
 *
 * One timer is armed, for the entry that is next; it keeps no process alive.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { preview } from '../core/preview.ts'
import type { Timers } from '../core/timers.ts'
import type {
  Decision,
  OperationScope,
  Outbox,
  OutboxOptions,
  Prepared,
  PreparedView,
  TransactionResult
} from '../core/transaction.ts'
import { OperationCollector, type PathOf } from './operations.ts'
import type { Transport } from './transport.ts'

type Call = Pick<Transport, 'call'>

/** Those that a runtime has opened. */
export class Outboxes {
  readonly #transport: Call
  readonly #pathOf: PathOf
  readonly #clock: Clock & Timers
  readonly #open = new Set<Outbox>()

  constructor(transport: Call, pathOf: PathOf, clock: Clock & Timers = systemTimers) {
    this.#transport = transport
    this.#pathOf = pathOf
    this.#clock = clock
  }

  open(options: OutboxOptions): Outbox {
    const outbox = new ClientOutbox(this.#transport, this.#pathOf, this.#clock, options)
    this.#open.add(outbox)
    return outbox
  }

  /** Safe to call twice. */
  async stop(): Promise<void> {
    await Promise.all([...this.#open].map((outbox) => outbox.stop()))
  }
}

/** What is prepared and, as far as is known here, not decided. */
interface Entry {
  id: string
  /** When `decide` is asked. */
  askAtMs: number
  /** Asked for; kept once it is done. */
  committed: Promise<TransactionResult> | undefined
  aborted: Promise<void> | undefined
}

class ClientOutbox implements Outbox {
  readonly #transport: Call
  readonly #pathOf: PathOf
  readonly #clock: Clock & Timers
  readonly #options: OutboxOptions & { name: string }
  readonly #timeoutMs: number
  readonly #entries = new Map<string, Entry>()
  /** When to look for what an earlier process has left; null: that is known. */
  #findAtMs: number | null
  #cancelTimer = () => {}
  #armedForMs = Number.POSITIVE_INFINITY
  #isAtWork = false
  /** The last decision of `decide`, as it is carried out. */
  #carriedOut: Promise<unknown> = Promise.resolve()
  #state: 'open' | 'disconnected' | 'stopped' = 'open'

  /** @throws RuntimeError `PARAMS_INVALID` */
  constructor(transport: Call, pathOf: PathOf, clock: Clock & Timers, options: OutboxOptions) {
    this.#transport = transport
    this.#pathOf = pathOf
    this.#clock = clock
    this.#options = { ...options, name: options.name ?? 'default' }
    this.#timeoutMs = timeoutMsOf(this.#options)
    this.#findAtMs = clock.monotonicMs()
    if (options.decide !== undefined) void this.#work()
  }

  async prepare(callback: (tx: OperationScope) => unknown): Promise<Prepared> {
    const { name } = this.#options
    if (this.#state === 'stopped') throw new TypeError(`Cannot prepare: the outbox "${name}" has been stopped.`)
    const tx = new OperationCollector('prepared transaction', this.#pathOf)
    try {
      await callback(tx)
    } finally {
      tx.end()
    }
    const operations = await tx.operations()
    if (operations.length === 0) throw invalid('Cannot prepare: the callback has asked for nothing.')
    const timeout = `${this.#timeoutMs}ms`
    const { id } = (await this.#transport.call('outbox.prepare', { outbox: name, operations, timeout })) as PreparedView
    const entry = this.#add(id, this.#clock.monotonicMs() + this.#timeoutMs)
    return { id, commit: () => this.#commit(entry), abort: () => this.#abort(entry) }
  }

  commit(id: string): Promise<TransactionResult> {
    return this.#commit(this.#entries.get(id) ?? undecided(id))
  }

  abort(id: string): Promise<void> {
    return this.#abort(this.#entries.get(id) ?? undecided(id))
  }

  async list(): Promise<PreparedView[]> {
    const answer = await this.#transport.call('outbox.list', { outbox: this.#options.name })
    return (answer as { prepared: PreparedView[] }).prepared
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#cancelTimer()
    await this.#carriedOut
  }

  #add(id: string, askAtMs: number): Entry {
    let entry = this.#entries.get(id)
    if (entry === undefined) {
      entry = undecided(id, askAtMs)
      this.#entries.set(id, entry)
      this.#armFor(askAtMs)
    }
    return entry
  }

  #armFor(atMs: number): void {
    if (this.#options.decide === undefined) return
    if (this.#state !== 'open' || this.#isAtWork || atMs >= this.#armedForMs) return
    this.#cancelTimer()
    this.#armedForMs = atMs
    this.#cancelTimer = this.#clock.after(Math.max(atMs - this.#clock.monotonicMs(), 0), () => void this.#work())
  }

  /** Does what is due, one after the other, and arms the timer for what is next. */
  async #work(): Promise<void> {
    this.#isAtWork = true
    this.#armedForMs = Number.POSITIVE_INFINITY
    if (this.#findAtMs !== null && this.#findAtMs <= this.#clock.monotonicMs()) await this.#find()
    for (const entry of [...this.#entries.values()]) {
      if (this.#state === 'open' && entry.askAtMs <= this.#clock.monotonicMs()) await this.#ask(entry)
    }
    this.#isAtWork = false
    const next = [...this.#entries.values()].reduce(
      (min, { askAtMs }) => Math.min(min, askAtMs),
      Number.POSITIVE_INFINITY
    )
    this.#armFor(Math.min(next, this.#findAtMs ?? Number.POSITIVE_INFINITY))
  }

  async #find(): Promise<void> {
    try {
      const prepared = await this.list()
      const bootedAtMs = this.#clock.wallMs() - this.#clock.monotonicMs()
      for (const { id, undecidedAt } of prepared) this.#add(id, Date.parse(undecidedAt) - bootedAtMs)
      this.#findAtMs = null
    } catch (error) {
      this.#findAtMs = this.#clock.monotonicMs() + this.#timeoutMs
      this.#tell(error)
    }
  }

  async #ask(entry: Entry): Promise<void> {
    entry.askAtMs = this.#clock.monotonicMs() + this.#timeoutMs
    if (isBeingDecided(entry)) return
    try {
      const decision = await this.#options.decide?.(entry.id)
      entry.askAtMs = this.#clock.monotonicMs() + this.#timeoutMs
      // The program may have decided it meanwhile.
      if (decision === undefined || this.#state !== 'open' || !this.#entries.has(entry.id) || isBeingDecided(entry))
        return
      await this.#carryOut(entry, decision)
    } catch (error) {
      this.#tell(error)
    }
  }

  async #carryOut(entry: Entry, decision: Decision): Promise<void> {
    if (decision !== 'commit' && decision !== 'abort') {
      throw new TypeError(
        `Cannot decide about "${entry.id}": decide gave ${preview(decision)}. It must give 'commit', 'abort', or undefined to be asked again.`
      )
    }
    const done = decision === 'commit' ? this.#commit(entry) : this.#abort(entry)
    this.#carriedOut = done.catch(() => {})
    await done.catch((error) => {
      // Who decided it elsewhere knew the same.
      if (!isUnknown(error)) throw error
    })
  }

  #commit(entry: Entry): Promise<TransactionResult> {
    entry.committed ??= this.#decided(entry, 'commit').catch((error) => {
      entry.committed = undefined
      throw error
    }) as Promise<TransactionResult>
    return entry.committed
  }

  #abort(entry: Entry): Promise<void> {
    entry.aborted ??= this.#decided(entry, 'abort').then(
      () => {},
      (error) => {
        entry.aborted = undefined
        throw error
      }
    )
    return entry.aborted
  }

  async #decided({ id }: Entry, decision: Decision): Promise<unknown> {
    try {
      const result = await this.#transport.call(`outbox.${decision}`, { id })
      this.#entries.delete(id)
      return result
    } catch (error) {
      if (isUnknown(error)) this.#entries.delete(id)
      throw error
    }
  }

  #tell(error: unknown): void {
    // A stop closes the connection; and one that is lost does not come back.
    if (this.#state !== 'open') return
    if (error instanceof RuntimeError && error.code === 'NOT_CONNECTED') this.#state = 'disconnected'
    const { name, onError = (reason) => console.error(`The outbox "${name}":`, reason) } = this.#options
    onError(error)
  }
}

function undecided(id: string, askAtMs = Number.POSITIVE_INFINITY): Entry {
  return { id, askAtMs, committed: undefined, aborted: undefined }
}

function isBeingDecided({ committed, aborted }: Entry): boolean {
  return committed !== undefined || aborted !== undefined
}

function isUnknown(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === 'OUTBOX_UNKNOWN'
}

function timeoutMsOf({ name, timeout = '1m', decide }: OutboxOptions): number {
  if (typeof name !== 'string' || name === '')
    throw invalid(`Cannot open an outbox: its name must be a text, got ${preview(name)}.`)
  if (decide !== undefined && typeof decide !== 'function') {
    throw invalid(`Cannot open the outbox "${name}": decide must be a function, got ${preview(decide)}.`)
  }
  const timeoutMs = durationToMs(timeout)
  if (timeoutMs !== undefined && timeoutMs > 0) return timeoutMs
  throw invalid(
    `Cannot open the outbox "${name}": timeout must be seconds above 0, or a text with a unit such as "30s", got ${preview(timeout)}.`
  )
}

function invalid(message: string): RuntimeError {
  return new RuntimeError('PARAMS_INVALID', message)
}

/** Longest span of a timer of Node; who is called before its time arms it again. */
const timerMsMax = 2 ** 31 - 1

const systemTimers: Clock & Timers = {
  ...systemClock,
  after(delayMs, action) {
    const timer = setTimeout(action, Math.min(delayMs, timerMsMax))
    timer.unref()
    return () => clearTimeout(timer)
  }
}
