import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { runCli } from './run-cli.ts'
import { startCli } from './spawn-cli.ts'

describe('runtime cron', () => {
  it('prints five times in UTC after now, without a supervisor', async (t) => {
    const before = Date.now()
    const { code, stdout, stderr } = await startCli(t, temporaryFolder(t), ['cron', '*/5 * * * *', '--json']).ended
    assert.equal(code, 0, stderr)
    const times = (JSON.parse(stdout) as string[]).map(Date.parse)
    assert.equal(times.length, 5)
    assert.ok(times[0]! > before && times[0]! <= Date.now() + 300_000)
    assert.deepEqual(
      times,
      Array.from(times, (_, index) => times[0]! + index * 300_000)
    )
  })

  it('prints local times with their offset beside UTC', async () => {
    const after = '2026-03-27T12:00:00Z'
    const args = ['cron', '30 2 * * *', '--timezone', 'Europe/Berlin', '--after', after, '--count', '3']
    const { code, stdout } = await runCli(args)
    assert.equal(code, 0)
    const rows = stdout.trim().split('\n').slice(1)
    assert.equal(stdout.split(/\s+/)[0], 'Europe/Berlin')
    assert.deepEqual(
      rows.map((row) => row.split(/\s+/).slice(0, 2)),
      [
        ['2026-03-28T02:30:00+01:00', '2026-03-28T01:30:00.000Z'],
        ['2026-03-29T03:30:00+02:00', '2026-03-29T01:30:00.000Z'],
        ['2026-03-30T02:30:00+02:00', '2026-03-30T00:30:00.000Z']
      ]
    )
    assert.deepEqual(JSON.parse((await runCli([...args, '--json'])).stdout), [
      '2026-03-28T01:30:00.000Z',
      '2026-03-29T01:30:00.000Z',
      '2026-03-30T00:30:00.000Z'
    ])
  })

  it('takes labels, and epoch milliseconds for --after', async () => {
    const { stdout } = await runCli(['cron', '@Weekly', '--after', '0', '--count', '1', '--json'])
    assert.deepEqual(JSON.parse(stdout), ['1970-01-04T00:00:00.000Z'])
  })

  it('says so where it never fires again', async () => {
    const args = ['cron', '0 0 1 1 * 0 2020', '--after', '2026-01-01']
    assert.equal((await runCli(args)).stdout, 'It never fires after 2026-01-01T00:00:00.000Z.\n')
    assert.deepEqual(JSON.parse((await runCli([...args, '--json'])).stdout), [])
  })

  const wrong: [args: string[], message: RegExp][] = [
    [['0 0 30 2 *'], /"0 0 30 2 \*" in its day of month field: it never fires/],
    [['* * * *'], /has 4 fields, not 5 to 7/],
    [[''], /has 0 fields/],
    [['* * * * *', '--timezone', 'Europe/Berln'], /no zone "Europe\/Berln".*Did you mean "Europe\/Berlin"/],
    [['* * * * *', '--count', '0'], /Expected a whole number from 1 to 1000/],
    [['* * * * *', '--after', 'soon'], /Expected an instant/]
  ]
  for (const [args, message] of wrong) {
    it(`ends with 2 after "${args.join(' ')}"`, async () => {
      const { code, stdout, stderr } = await runCli(['cron', ...args])
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    })
  }
})
