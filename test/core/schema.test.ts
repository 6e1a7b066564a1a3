import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { optionsSchema } from '../../runtime/config/options-schema.ts'
import { checkOnce, compileSchema } from '../../runtime/core/schema.ts'
import { protocolMethods } from '../../runtime/rpc/methods.ts'

/** Keys of the configuration at whatever place, right and wrong values. */
const anyOptions = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<unknown>(null, true, 0, 5, -1, '', '30s', 'inline', 'x.y'),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object')
  ),
  object: fc.dictionary(
    fc.constantFrom(
      ...['dataDir', 'actors', 'workers', 'schedulerEvents', 'cron', 'daily', 'timezone', 'timeout', 'backoff', 'type'],
      ...['delays', 'retention', 'failed', 'age', 'rateLimit', 'max', 'per', 'env', 'permissions', 'read', 'method'],
      ...['missed', 'queue', '__proto__', 'nope']
    ),
    tie('value'),
    { maxKeys: 4 }
  )
})).value

/** One of each kind of problem, at any depth. */
const examples: [unknown][] = [
  [{ nope: 1 }],
  [{ dataDir: 5 }],
  [{ timezone: '' }],
  [{ schedulerTickInterval: 0 }],
  [{ workers: { q: { retention: { failed: { age: 'soon' } } } } }],
  [{ workers: { q: {}, r: { isolation: 'none' } } }],
  [{ workers: { q: { rateLimit: { max: 1 } } } }],
  [{ actors: ['actors', 5] }],
  [{ schedulerEvents: { cron: { x: ['a.b', { method: 'a.b', missed: 'never' }] } } }]
]

test('issue 8.2: a value that is checked once has a problem where the whole schema finds one, and that one is among them', () => {
  const whole = compileSchema(optionsSchema)
  const found = new Set<string>()
  fc.assert(
    fc.property(anyOptions, (options) => {
      const [first] = whole(options)
      const problems = checkOnce(optionsSchema, options)
      for (const { message } of problems) found.add(message.slice(0, 12))
      if (first === undefined) assert.deepEqual(problems, [])
      else
        assert.ok(
          problems.some((problem) => isDeepStrictEqual(problem, first)),
          JSON.stringify({ first, problems })
        )
    }),
    { numRuns: 500, examples }
  )
  assert.ok(found.size > 5, [...found].join())
})

test('issue 8.2: what is compiled without a look at the schema of schemas fits it', () => {
  const ajv = new Ajv({ strict: false })
  const schemas = Object.entries(protocolMethods).flatMap(([name, { params, result }]) => [
    [name, params] as const,
    [`result of ${name}`, result] as const
  ])
  for (const [name, schema] of [['configuration', optionsSchema] as const, ...schemas]) {
    assert.ok(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`)
  }
})
