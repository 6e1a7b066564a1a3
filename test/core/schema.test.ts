import assert from 'node:assert/strict'
import { test } from 'node:test'
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

test('issue 8.2: a value that is checked once has the problems that the whole schema finds', () => {
  const whole = compileSchema(optionsSchema, 'all')
  const found = new Set<string>()
  fc.assert(
    fc.property(anyOptions, (options) => {
      const problems = whole(options)
      for (const { message } of problems) found.add(message.slice(0, 12))
      assert.deepEqual(checkOnce(optionsSchema, options), problems)
    }),
    { numRuns: 500 }
  )
  assert.ok(found.size > 4, [...found].join())
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
