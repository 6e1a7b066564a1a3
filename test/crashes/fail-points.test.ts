/** The table of fail points (issue 7.2) and the places in the code agree, and a name that is none is refused. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { failPoints } from '../../runtime/core/fail-points.ts'
import { TestProject } from '../support/supervisor-process.ts'

test('issue 7.2: each fail point of the table is passed at one place of the code, and no other is', () => {
  const files = readdirSync('runtime', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const text = files.map((file) => readFileSync(join('runtime', file), 'utf8')).join('\n')
  const questions = ['beginStep', 'endStep', 'sleep', 'waitFor']
  const passed = [...text.matchAll(/failPoint\(['`]([^'`]+)['`]\)/g)].flatMap(([, name]) =>
    name === `journal.\${question.type}` ? questions.map((type) => `journal.${type}`) : [name]
  )
  assert.deepEqual(passed.sort(), Object.keys(failPoints).sort())
})

test('issue 7.2: a fail point that is none, or no passage, keeps serve from starting, in words', async (t) => {
  const project = new TestProject(t, 'memory')
  const wrong: [string, RegExp][] = [
    ['commit.flusht', /expected the name of a fail point.*Did you mean "commit.flushed"/],
    ['toString', /expected the name of a fail point/],
    ['commit.flushed@0', /expected the number of the passage/],
    ['commit.flushed@2@3', /expected the number of the passage/]
  ]
  await Promise.all(
    wrong.map(async ([value, message]) => {
      // Read as the process is started, in this turn.
      project.environment = { RUNTIME_FAIL_POINT: value }
      const { code, stderr } = await project.run('serve')
      assert.equal(code, 2, stderr)
      assert.match(stderr, message)
    })
  )
})
