/**
 * Messages for the socket, made from the protocol itself: each method of its table, each of its params by its schema, valid
 * or spoilt in one of many ways. The same seed gives the same messages.
 */

import { protocolMethods } from '../../runtime/rpc/methods.ts'
import type { JsonSchema } from '../../runtime/rpc/view-schemas.ts'
import { randomFrom } from '../support/random.ts'

/** JSON as text, because some of it cannot come out of `JSON.stringify`: duplicate keys, 1e999, "__proto__". */
type Text = string

/** Ask for jobs, or for what makes some, so each of them adds to the store if it is accepted. */
const adders = ['enqueue', 'enqueueMany', 'enqueueDoc', 'transaction', 'outbox.prepare', 'outbox.commit']
/** Never sent with valid params: they would end the attack, or hold it up. */
const onlySpoilt: ReadonlySet<string> = new Set(['shutdown', 'maintenance', 'reload', 'schedule.migrate'])
/** What takes jobs away; left out where the jobs of the store are compared with those that were acknowledged. */
const removers = new Set(['job.remove', 'job.removeMany', 'queue.purge'])
const forgetting = new Set(['retention', 'resultTtl'])

const strangeNumbers = [
  '1e999',
  '-1e999',
  '-0',
  '9007199254740993',
  '1e-400',
  '0.1',
  '-1',
  '0',
  '4294967296',
  '1E3',
  '2.5'
]
const strangeTexts = [
  '"\\ud800"',
  '"\\udfff\\ud800"',
  '"a\\u0000b"',
  '"\u2028\u2029"',
  '"\\u001b[2J"',
  '"\ufeff"',
  '""',
  '" "',
  '"../../etc/passwd"',
  '"__proto__"',
  '"constructor"',
  '"node:fs.readFileSync"',
  '"NaN"',
  '"😀"',
  '"%s%n"',
  '"\\\\\\""'
]
const pollution = '{"polluted":true}'
const pollutingKeys = [
  `"__proto__":${pollution}`,
  `"constructor":{"prototype":${pollution}}`,
  `"prototype":${pollution}`
]

export interface Made {
  text: Text
  /** A frame of it may be spoilt further, byte by byte. */
  mayDamage: boolean
}

export class Grammar {
  readonly random: () => number
  /** Ids of jobs that were acknowledged, for requests about jobs that exist. */
  readonly jobs: string[] = []
  readonly prepared: string[] = []
  /** Makes ids of jobs unique. */
  #made = 0
  readonly #prefix: string
  readonly #removes: boolean

  constructor(seed: number, { removes }: { removes: boolean }) {
    this.random = randomFrom(seed)
    this.#prefix = `fuzz-${seed}`
    this.#removes = removes
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!
  }

  chance(share: number): boolean {
    return this.random() < share
  }

  count(max: number): number {
    return Math.floor(this.random() * (max + 1))
  }

  /** A frame: a request, a notification, a batch, or no request at all. */
  message(): Made {
    const dice = this.random()
    if (dice < 0.8) return { text: this.#request(), mayDamage: true }
    if (dice < 0.9) return { text: this.#batch(), mayDamage: true }
    if (dice < 0.93) return { text: this.#deep(), mayDamage: false }
    return { text: this.#noRequest(), mayDamage: true }
  }

  #request(): Text {
    const [method, params] = this.#call()
    const fields = ['"jsonrpc":"2.0"', `"method":${JSON.stringify(method)}`]
    if (params !== undefined) fields.push(`"params":${params}`)
    const id = this.#id()
    if (id !== undefined) fields.push(`"id":${id}`)
    if (this.chance(0.03)) fields[0] = this.pick(['"jsonrpc":2', '"jsonrpc":"1.0"', '"jsonrpc":null', '"x":1'])
    if (this.chance(0.03)) fields.push(this.pick(pollutingKeys))
    if (this.chance(0.03)) fields.push('"method":"status"')
    if (this.chance(0.02)) fields.push(`"id":${this.#freshId()}`)
    return `{${this.#shuffled(fields).join(',')}}`
  }

  #batch(): Text {
    const entries = this.chance(0.004) ? 1_001 + this.count(9_000) : this.pick([0, 1, 2, 3, 5, 20])
    if (entries > 1_000) {
      return `[${Array.from({ length: entries }, () => '{"jsonrpc":"2.0","id":1,"method":"status"}').join(',')}]`
    }
    const parts = Array.from({ length: entries }, () => (this.chance(0.9) ? this.#request() : this.#noRequest()))
    return `[${parts.join(',')}]`
  }

  #noRequest(): Text {
    return this.chance(0.5)
      ? this.#anyValue(3)
      : this.pick([
          '{}',
          '[[]]',
          '{"jsonrpc":"2.0"}',
          '{"jsonrpc":"2.0","method":1,"id":1}',
          '{"jsonrpc":"2.0","id":1,"result":1}',
          '{"jsonrpc":"2.0","method":"status","id":{}}',
          '{"jsonrpc":"2.0","method":"status","params":"x","id":1}',
          '{"jsonrpc":"2.0","method":"status","id":1e999}',
          '{"jsonrpc":"2.0","method":"status","id":9007199254740993}',
          'NaN',
          '{"a":1,}',
          "{'a':1}",
          '{"jsonrpc":"2.0","method":"status","id":1}{}',
          '\ufeff{"jsonrpc":"2.0","method":"status","id":1}'
        ])
  }

  /** Nested up to the cap and over it. */
  #deep(): Text {
    const levels = this.pick([60, 62, 63, 64, 65, 67, 68, 69, 100, 5_000])
    const value = this.chance(0.5)
      ? '['.repeat(levels) + ']'.repeat(levels)
      : `${'{"__proto__":'.repeat(levels)}1${'}'.repeat(levels)}`
    return `{"jsonrpc":"2.0","id":${this.#freshId()},"method":"enqueue","params":{"method":"a.ping","params":${value}}}`
  }

  #call(): [string, Text | undefined] {
    if (this.chance(0.02)) {
      const none = [
        'nope',
        '__proto__',
        'constructor',
        'toString',
        'job',
        'job.',
        '.get',
        'rpc.',
        '',
        'enqueue ',
        'then'
      ]
      return [this.pick(none), this.chance(0.5) ? this.#anyParams() : undefined]
    }
    const method = this.chance(0.25) ? this.pick(adders) : this.pick(methodNames)
    const mayBeValid = !onlySpoilt.has(method) && (this.#removes || !removers.has(method))
    if (this.chance(0.05) && mayBeValid) return [method, this.#anyParams()]
    const isSpoilt = !mayBeValid || this.chance(0.5)
    return [method, this.#paramsOf(method, isSpoilt, !mayBeValid)]
  }

  #paramsOf(method: string, isSpoilt: boolean, isSurelySpoilt: boolean): Text {
    const { properties, required = [] } = protocolMethods[method]!.params
    const fields = this.#fields(properties, required)
    // It would give other params to the jobs of the client beside.
    if (method === 'job.retryMany' && !this.#removes) fields.delete('params')
    // Their answer would take any time.
    if (method === 'job.wait' || method === 'queue.drain') fields.set('timeout', '0.05')
    if (!isSpoilt) return this.#asParams(Object.keys(properties), fields)
    if (this.chance(0.25) && fields.size > 0) fields.delete(this.pick([...fields.keys()]))
    else if (this.chance(0.6) && fields.size > 0) fields.set(this.pick([...fields.keys()]), this.#anyValue(2))
    const more = isSurelySpoilt || this.chance(0.4) ? [this.pick([...pollutingKeys, '"nope":1', '"":0'])] : []
    if (this.chance(0.1)) more.push(...[...fields].map(([key]) => `"${key}":${this.#anyValue(1)}`).slice(0, 1))
    return `{${[...[...fields].map(([key, value]) => `"${key}":${value}`), ...more].join(',')}}`
  }

  #asParams(names: readonly string[], fields: ReadonlyMap<string, Text>): Text {
    const isPrefix = names.slice(0, fields.size).every((name) => fields.has(name))
    if (isPrefix && this.chance(0.3))
      return `[${names
        .slice(0, fields.size)
        .map((name) => fields.get(name)!)
        .join(',')}]`
    return `{${[...fields].map(([key, value]) => `"${key}":${value}`).join(',')}}`
  }

  #fields(properties: Readonly<Record<string, JsonSchema>>, required: readonly string[]): Map<string, Text> {
    const share = this.pick([0, 0, 0.1, 0.3])
    const fields = new Map<string, Text>()
    for (const [name, schema] of Object.entries(properties)) {
      if (!required.includes(name) && (!this.chance(share) || (forgetting.has(name) && !this.#removes))) continue
      fields.set(name, this.#valueOf(name, schema as SchemaLike))
    }
    return fields
  }

  /** A value that fits the schema, most of the time. */
  #valueOf(name: string, schema: SchemaLike): Text {
    const known = this.#knownValue(name)
    if (known !== undefined && this.chance(0.9)) return JSON.stringify(known)
    if (schema.const !== undefined) return JSON.stringify(schema.const)
    if (schema.enum !== undefined) return JSON.stringify(this.pick(schema.enum))
    if (schema.format !== undefined)
      return this.pick(['0', '1', '"250ms"', '"5m"', '"2h"', '3', '"2027-01-01T00:00:00Z"'])
    const type = Array.isArray(schema.type) ? this.pick(schema.type) : schema.type
    switch (type) {
      case 'boolean':
        return this.pick(['true', 'false'])
      case 'integer':
      case 'number':
        return String(this.pick([schema.minimum ?? 0, schema.maximum ?? 7, 1, 2, 50]))
      case 'array': {
        const length = Math.max(schema.minItems ?? 0, this.pick([0, 1, 1, 2, 5]))
        return `[${Array.from({ length }, () => this.#valueOf(name === 'jobs' ? 'job' : '', schema.items ?? {})).join(',')}]`
      }
      case 'object': {
        if (schema.properties === undefined) return this.#anyObject(2)
        if (schema.maxProperties === 1) return this.pick(['{"for":"1m"}', '{"debounce":"1s"}', '{"keepLast":true}'])
        const fields = this.#fields(schema.properties, schema.required ?? [])
        if (schema.required?.[0] === 'op') return this.#operation()
        return `{${[...fields].map(([key, value]) => `"${key}":${value}`).join(',')}}`
      }
      case 'string':
        return JSON.stringify(
          this.pick(['a', 'fuzz', 'a.b', 'ä€😀', 'x'.repeat(Math.min(schema.maxLength ?? 300, 300))])
        )
      default:
        return this.#anyValue(3)
    }
  }

  #operation(): Text {
    const job = `{"method":"a.ping","params":${this.#anyValue(2)}}`
    return this.pick([
      `{"op":"enqueue","job":${job}}`,
      `{"op":"setState","type":"d.Account","name":"n${this.count(20)}","state":${this.#anyObject(2)}}`,
      `{"op":"removeState","type":"d.Account","name":"n${this.count(20)}"}`,
      `{"op":"cancel","id":${JSON.stringify(this.jobs.length > 0 ? this.pick(this.jobs) : 'none')}}`
    ])
  }

  #knownValue(name: string): unknown {
    switch (name) {
      case 'method':
        return this.pick(['a.ping', 'a.ping', 'a.echo', 'a.fail', 'add', 'd.Account.add'])
      case 'id':
      case 'job':
        if (this.chance(0.1) && this.prepared.length > 0) return this.pick(this.prepared)
        return this.jobs.length > 0 ? this.pick(this.jobs) : undefined
      case 'jobId':
        this.#made += 1
        return `${this.#prefix}-${this.#made}`
      case 'queue':
      case 'to':
        return this.pick(['default', 'default', 'short', 'long', 'nowhere'])
      case 'type':
        return this.pick(['d.Account', 'd.Account', 'd.Nope'])
      case 'name':
      case 'document':
        return `n${this.count(20)}`
      case 'isAsync':
        return true
      case 'now':
        return false
      case 'dependsOn':
        return this.jobs.length > 0 ? [this.pick(this.jobs)] : []
      case 'onSuccess':
      case 'onFailure':
        return 'a.ping'
      case 'attempts':
        return this.pick([1, 2])
      case 'delay':
        return this.pick([0, 0.01, '1h', '30d'])
      case 'limit':
        return this.pick([1, 2, 50])
      default:
        return undefined
    }
  }

  /** Undefined: none, so a notification. */
  #id(): Text | undefined {
    const dice = this.random()
    if (dice < 0.08) return undefined
    if (dice < 0.12) return 'null'
    if (dice < 0.15) return this.pick([...strangeTexts, '{}', '[]', 'true', '1e999', '9007199254740993', '-0', '1.5'])
    return this.#freshId()
  }

  #freshId(): Text {
    this.#made += 1
    return this.chance(0.7) ? String(this.#made) : this.chance(0.5) ? `"${this.#made}"` : `"\\u0000é${this.#made}"`
  }

  #anyParams(): Text {
    return this.pick([this.#anyObject(2), `[${this.#anyValue(1)}]`, 'null', '1', '"x"', '[]', '{}'])
  }

  #anyObject(depth: number): Text {
    const fields = Array.from({ length: this.count(3) }, () =>
      this.chance(0.2) ? this.pick(pollutingKeys) : `${this.pick(strangeTexts)}:${this.#anyValue(depth - 1)}`
    )
    return `{${fields.join(',')}}`
  }

  #anyValue(depth: number): Text {
    const dice = this.random()
    if (depth > 0 && dice < 0.2) return this.#anyObject(depth)
    if (depth > 0 && dice < 0.35)
      return `[${Array.from({ length: this.count(3) }, () => this.#anyValue(depth - 1)).join(',')}]`
    if (dice < 0.6) return this.pick(strangeTexts)
    if (dice < 0.8) return this.pick(strangeNumbers)
    if (dice < 0.803) return `"${'x'.repeat(this.pick([256, 1_000, 70_000]))}"`
    if (dice < 0.80302) return `"${'y'.repeat(1024 * 1024)}"`
    return this.pick(['null', 'true', 'false'])
  }

  #shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, at: this.random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item)
  }
}

/** What is refused could become valid by a spoilt byte, and the id of a job that of another one. */
export function mustStayWhole(text: string): boolean {
  return text.includes('fuzz-') || [...onlySpoilt, ...removers].some((method) => text.includes(method))
}

interface SchemaLike {
  type?: string | readonly string[]
  format?: string
  const?: unknown
  enum?: readonly unknown[]
  items?: SchemaLike
  properties?: Record<string, JsonSchema>
  required?: readonly string[]
  minimum?: number
  maximum?: number
  minItems?: number
  maxLength?: number
  maxProperties?: number
}

const methodNames = Object.keys(protocolMethods)
