/**
 * One hostile connection: sends frames of a grammar in some framing, cut in some way, ends in some way, and holds every
 * answer against what is owed.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { frameMsMax } from '../../runtime/core/limits.ts'
import { FrameSplitter, type Framing } from '../../runtime/rpc/framing.ts'
import { connectSocket } from '../../runtime/rpc/socket-path.ts'
import { assertAllowed, type OwedAnswer, owedFor, silentJobs } from './expected.ts'
import { type Grammar, mustStayWhole } from './grammar.ts'

export interface AttackReport {
  frames: number
  answers: number
  /** Ids of jobs that an answer has named. */
  acknowledged: string[]
  /** Ids of jobs whose enqueue was refused. */
  refused: string[]
  /** Jobs that may have been added without an answer. */
  silentJobsMax: number
}

type Ending = 'end' | 'violation' | 'reset' | 'halfFrame'

interface Pending extends OwedAnswer {
  jobId: string | undefined
  text: string
}

const violations: Record<Framing, readonly string[]> = {
  line: [],
  header: [
    'Content-Length: -1\r\n\r\n',
    'Content-Length: NaN\r\n\r\n',
    'Content-Length: 1e3\r\n\r\n',
    'Content-Length: 99999999999\r\n\r\n',
    'Content-Length: 5\r\nContent-Length: 6\r\n\r\n',
    'X: y\r\n\r\n',
    '{"jsonrpc":"2.0","id":1,"method":"status"}\r\n',
    `X: ${'y'.repeat(5_000)}\r\n`,
    'X: y\r\n'.repeat(1_000)
  ]
}
/** Time that the server gives a connection which broke the framing. */
const drainMs = 1_000
const followUps = /"on(Success|Failure)"/

export async function attack(socketPath: string, grammar: Grammar, frames: number): Promise<AttackReport> {
  const attacker = new Attacker(grammar, await connectSocket(socketPath))
  return attacker.run(frames)
}

class Attacker {
  readonly #grammar: Grammar
  readonly #socket: Socket
  readonly #framing: Framing
  /** By the id as JSON text. */
  readonly #single = new Map<string, Slot<Pending>>()
  /** By all of their ids. */
  readonly #batches = new Map<string, Slot<Pending[]>>()
  #wake = () => {}
  #closed = false
  #leavesHalf = false
  /** Whoever leaves a request half is not waited for beyond a minute. */
  #isCutOff = false
  #failure: unknown
  #answers = 0
  #silentJobs = 0
  readonly #acknowledged: string[] = []
  readonly #refused: string[] = []

  constructor(grammar: Grammar, socket: Socket) {
    this.#grammar = grammar
    this.#socket = socket
    this.#framing = grammar.chance(0.3) ? 'header' : 'line'
    const splitter = new FrameSplitter(1024 * 1024 * 1024)
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of splitter.push(chunk)) this.#hear(JSON.parse(frame.toString()))
        assert.equal(splitter.violation, undefined)
      } catch (error) {
        this.#failure ??= error
        socket.destroy()
      }
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  async run(frames: number): Promise<AttackReport> {
    const ending = this.#ending()
    const parts: Buffer[] = []
    for (let count = 0; count < frames; count++) parts.push(this.#frame())
    if (ending === 'violation') {
      parts.push(Buffer.from(this.#grammar.pick(violations.header)))
      this.#expectOne({ id: 'null', method: undefined })
    }
    this.#leavesHalf = ending === 'halfFrame'
    if (this.#leavesHalf) parts.push(this.#frameOf(Buffer.from('{"jsonrpc":"2.0",'), 400))
    const beganMs = performance.now()
    await this.#write(Buffer.concat(parts))
    await this.#finish(ending, beganMs)
    if (this.#failure !== undefined) throw this.#failure
    return {
      frames,
      answers: this.#answers,
      acknowledged: this.#acknowledged,
      refused: this.#refused,
      silentJobsMax:
        this.#silentJobs +
        silentJobs([...this.#single.values(), ...this.#batches.values()].reduce((sum, { left }) => sum + left, 0))
    }
  }

  #ending(): Ending {
    const dice = this.#grammar.random()
    if (dice < 0.1) return 'reset'
    if (dice < 0.2) return 'halfFrame'
    return dice < 0.5 && this.#framing === 'header' ? 'violation' : 'end'
  }

  #frame(): Buffer {
    const { text, mayDamage } = this.#grammar.message()
    let bytes: Buffer = Buffer.from(text)
    if (mayDamage && this.#grammar.chance(0.1) && !mustStayWhole(text)) bytes = this.#damaged(bytes)
    if (this.#framing === 'line') bytes = Buffer.from(bytes.filter((byte) => byte !== 0x0a))
    if (this.#framing === 'line' && bytes.at(-1) === 0x0d) bytes = bytes.subarray(0, -1)
    this.#expect(bytes)
    return this.#frameOf(bytes, bytes.length)
  }

  #frameOf(bytes: Buffer, announced: number): Buffer {
    const { chance, pick } = this.#grammar
    const oneOf = pick.bind(this.#grammar) as typeof pick
    const isRare = chance.bind(this.#grammar) as typeof chance
    if (this.#framing === 'line') {
      const end = announced > bytes.length ? '' : oneOf(['\n', '\n', '\n', '\r\n', '\n\n', '\n \t\n'])
      return Buffer.concat([bytes, Buffer.from(end)])
    }
    const name = oneOf(['Content-Length', 'content-length', 'CONTENT-LENGTH'])
    const more = isRare(0.1) ? 'Content-Type: application/json\r\n' : isRare(0.05) ? `${name}: ${announced}\r\n` : ''
    const end = oneOf(['\r\n', '\r\n', '\n'])
    return Buffer.concat([Buffer.from(`${name}:${oneOf(['', ' ', '\t'])}${announced}${end}${more}${end}`), bytes])
  }

  #damaged(bytes: Buffer): Buffer {
    const damaged = Buffer.from(bytes)
    for (let count = this.#grammar.count(2); count >= 0 && damaged.length > 0; count--) {
      damaged[this.#grammar.count(damaged.length - 1)] = this.#grammar.count(255)
    }
    return this.#grammar.chance(0.3) ? damaged.subarray(0, this.#grammar.count(damaged.length)) : damaged
  }

  #expect(bytes: Buffer): void {
    // A blank line is skipped; an announced body that is blank is no JSON.
    const isBlankBody = this.#framing === 'header' && /^[ \t]*$/.test(bytes.toString('latin1'))
    const { owed, silentAdders } = owedFor(isBlankBody ? Buffer.from('?') : bytes)
    this.#silentJobs += silentJobs(silentAdders)
    if (owed.type === 'nothing') return
    const text = bytes.toString()
    // Each of them may add a job that no answer names.
    if (followUps.test(text)) this.#silentJobs += silentJobs(1)
    if (owed.type === 'one') this.#expectOne(owed.answer, text)
    else this.#expectBatch(owed.answers, text)
  }

  #expectOne(answer: OwedAnswer, text = ''): void {
    const jobId = /"jobId":"(fuzz-[^"]*)"/.exec(text)?.[1]
    slotOf(this.#single, answer.id).add({ ...answer, jobId, text }, mayWait(text))
  }

  #expectBatch(answers: OwedAnswer[], text: string): void {
    const batch = answers.map((answer) => ({ ...answer, jobId: undefined, text }))
    slotOf(this.#batches, signatureOf(answers.map(({ id }) => id))).add(batch, mayWait(text))
  }

  #hear(message: unknown): void {
    if (Array.isArray(message)) this.#hearBatch(message)
    else if ((message as { method?: string }).method === 'event') return
    else this.#hearOne(message)
  }

  #hearOne(answer: unknown): void {
    if (this.#leavesHalf && /the request is not complete/.test(JSON.stringify(answer))) {
      this.#isCutOff = true
      return
    }
    const slot = this.#single.get(JSON.stringify((answer as { id?: unknown }).id))
    assert.ok(slot !== undefined && slot.left > 0, `nobody asked for this: ${JSON.stringify(answer).slice(0, 500)}`)
    const found = slot.take((asked) => assertAllowed(answer, asked))
    this.#answers += 1
    this.#note(answer, slot.asked.length === 1 ? found : undefined)
  }

  #hearBatch(answers: unknown[]): void {
    const slot = this.#batches.get(
      signatureOf(answers.map((answer) => JSON.stringify((answer as { id?: unknown })?.id)))
    )
    const words = () => `nobody asked for this batch: ${JSON.stringify(answers).slice(0, 500)}`
    assert.ok(slot !== undefined && slot.left > 0, words())
    slot.take((batch) => assertAllowedBatch(answers, batch))
    this.#answers += answers.length
    for (const answer of answers) this.#note(answer, undefined)
  }

  #note(answer: unknown, asked: Pending | undefined): void {
    const { result, error } = answer as { result?: Record<string, unknown>; error?: { data?: { code?: string } } }
    if (error !== undefined && asked?.jobId !== undefined && error.data?.code !== 'JOB_EXISTS') {
      this.#refused.push(asked.jobId)
    }
    if (result === undefined || result === null) return
    const ids: string[] = []
    if (Array.isArray(result.ids)) ids.push(...result.ids)
    if (typeof result.deduplicated === 'boolean') ids.push(String(result.id))
    if (Array.isArray(result.jobs) && !('cursor' in result)) ids.push(...result.jobs.map(({ id }) => id))
    if (typeof result.outbox === 'string') this.#grammar.prepared.push(String(result.id))
    this.#acknowledged.push(...ids)
    this.#grammar.jobs.push(...ids)
    if (this.#grammar.jobs.length > 300) this.#grammar.jobs.splice(0, 100)
  }

  async #write(bytes: Buffer): Promise<void> {
    const style = this.#grammar.random()
    const pieceMax = style < 0.6 ? bytes.length : style < 0.9 ? 10_000 : 7
    const cutUntil = pieceMax === 7 ? 2_000 : bytes.length
    // A turn takes long on a busy machine, and who takes a minute for a request is cut off.
    const hurryAtMs = performance.now() + frameMsMax / 4
    let at = 0
    while (at < bytes.length && !this.#closed) {
      const isCut = at < cutUntil && performance.now() < hurryAtMs
      const length = isCut ? 1 + this.#grammar.count(pieceMax - 1) : bytes.length
      this.#socket.write(bytes.subarray(at, at + length))
      at += length
      if (at < bytes.length) await nextTurn()
    }
  }

  async #finish(ending: Ending, beganMs: number): Promise<void> {
    if (ending === 'reset') this.#socket.destroy()
    else if (ending === 'end') this.#socket.end()
    while (!this.#closed && (this.#owes().length > 0 || ending === 'violation')) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    // Whoever broke the framing, perhaps with the first piece of several, and writes or reads slowly is not waited for.
    if (ending === 'violation' && performance.now() - beganMs > drainMs / 2) this.#isCutOff = true
    if (this.#failure === undefined && ending !== 'reset' && !this.#isCutOff) {
      const owes = this.#owes()
      const asked = owes.map((id) =>
        [this.#single.get(id), this.#batches.get(id)].flatMap((slot) => slot?.asked.flat() ?? [])
      )
      const texts = asked.flat().map(({ text }) => text.slice(0, 300))
      const afterMs = Math.round(performance.now() - beganMs)
      assert.deepEqual(
        owes,
        [],
        `closed (${ending}) after ${afterMs} ms, and an answer is still owed to ${texts.join('\n')}`
      )
    }
    this.#socket.destroy()
    if (!this.#closed) await once(this.#socket, 'close')
  }

  /** Ids that are owed more than what may take any time. */
  #owes(): string[] {
    return [...this.#single, ...this.#batches].filter(([, { left, waiters }]) => left > waiters).map(([id]) => id)
  }
}

/** What was asked under one id, or in batches of the same ids: usually once. */
class Slot<Asked> {
  readonly asked: Asked[] = []
  left = 0
  /** Of all that was asked: answers that may take any time. */
  waiters = 0

  add(asked: Asked, mayTakeTime: boolean): void {
    this.asked.push(asked)
    this.left += 1
    this.waiters += mayTakeTime ? 1 : 0
  }

  /** One is answered: as `check` demands of one of those that were asked. */
  take(check: (asked: Asked) => void): Asked {
    const found =
      this.asked.length === 1 ? this.asked[0]! : (this.asked.find((each) => fits(() => check(each))) ?? this.asked[0]!)
    check(found)
    this.left -= 1
    return found
  }
}

function slotOf<Asked>(slots: Map<string, Slot<Asked>>, id: string): Slot<Asked> {
  const slot = slots.get(id) ?? new Slot<Asked>()
  slots.set(id, slot)
  return slot
}

/** An answer for each request, in any order. */
function assertAllowedBatch(answers: readonly unknown[], batch: readonly Pending[]): void {
  for (const answer of answers) {
    const ofId = batch.filter(({ id }) => id === JSON.stringify((answer as { id?: unknown }).id))
    const found = ofId.find((each) => fits(() => assertAllowed(answer, each))) ?? ofId[0]!
    assertAllowed(answer, found)
  }
}

function mayWait(text: string): boolean {
  return /"(isAsync|now)":/.test(text) || /"(job\.wait|queue\.drain)"/.test(text) || /^\{.*"params":\[/.test(text)
}

function signatureOf(ids: string[]): string {
  return [...ids].sort().join(' ')
}

function fits(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}
