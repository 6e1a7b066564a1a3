/** What clients have called and been answered, by the part of the state that it is about; and whether there is an order for it. */
import { isLinearizable, type Model, type Operation, SearchTooLong, shrunk, told } from './linearize.ts'
import {
  type DocumentCall,
  documentModel,
  type JobCall,
  jobModel,
  type PauseCall,
  pauseModel,
  type SignalCall,
  signalModel
} from './models.ts'

const models = { job: jobModel, document: documentModel, signals: signalModel, pause: pauseModel } as const

interface Calls {
  job: JobCall
  document: DocumentCall
  signals: SignalCall
  pause: PauseCall
}
type Kind = keyof Calls
type AnyModel = Model<unknown, unknown>

/** When a call was made and answered, in events of this process. */
export interface Span {
  calledAt: number
  returnedAt: number
}

export class RecordedHistory {
  readonly #parts = new Map<string, { kind: Kind; operations: Operation<unknown>[] }>()
  #events = 0
  /** What is wrong beside the order. */
  readonly findings: string[] = []

  now(): number {
    return this.#events++
  }

  get size(): number {
    return [...this.#parts.values()].reduce((sum, { operations }) => sum + operations.length, 0)
  }

  /** @param answer undefined: it was lost */
  add<K extends Kind>(kind: K, name: string, client: string, call: Calls[K], span: Span, answer: unknown): void {
    const id = `${kind} ${name}`
    const part = this.#parts.get(id) ?? { kind, operations: [] }
    this.#parts.set(id, part)
    part.operations.push({ client, call, ...span, answer })
  }

  operationsOf(kind: Kind, name: string): readonly Operation<unknown>[] {
    return this.#parts.get(`${kind} ${name}`)?.operations ?? []
  }

  /** @returns what is wrong, for people; each part without an order with the smallest set of its operations that has none */
  check(): string[] {
    const wrong = [...this.findings]
    for (const [id, { kind, operations }] of this.#parts) {
      const model = models[kind] as unknown as AnyModel
      try {
        if (isLinearizable(operations, model)) continue
        wrong.push(`${id}: no order of these explains the answers:\n${told(shrunk(operations, model))}`)
      } catch (error) {
        if (!(error instanceof SearchTooLong)) throw error
        wrong.push(`${id}: ${error.message}:\n${told(operations)}`)
      }
    }
    return wrong
  }

  /** Everything, for a file. */
  text(): string {
    return [...this.#parts].map(([id, { operations }]) => `${id}\n${told(operations)}`).join('\n\n')
  }
}
