/** Damage under a real supervisor, and the repair of a store that a start refuses (issue 7.5). */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { jobKey } from '../../runtime/store/keys.ts'
import { LmdbEngine } from '../../runtime/store/lmdb-engine.ts'
import { TestProject } from '../support/supervisor-process.ts'

const actors = `
export async function add({ a, b }) { return a + b }
`

function project(t: TestContext): TestProject {
  const made = new TestProject(t, 'memory')
  made.write('actors/sums.js', actors)
  return made
}

/** Flips a byte of the records of the jobs with these numbers, as a second process that writes the same file. */
async function damageJobs(of: TestProject, ...seqs: number[]): Promise<void> {
  const engine = new LmdbEngine(join(of.folder, '.runtime', 'store'))
  engine.transact(() => {
    for (const seq of seqs) {
      const value = Buffer.from(engine.get(jobKey(seq))!)
      value[value.length - 3]! ^= 0x40
      engine.put(jobKey(seq), value)
    }
  })
  await engine.close()
}

function seqOf(id: string): number {
  return Number.parseInt(id.slice(id.lastIndexOf('-') + 1), 36)
}

async function runJson(of: TestProject, expected: number, ...args: string[]) {
  const { code, stdout, stderr } = await of.run(...args, '--json')
  assert.equal(code, expected, `${args.join(' ')}: ${stderr}${stdout}`)
  // What the test expects of its form is said where it is used.
  return JSON.parse(stdout)
}

test('issue 7.5: a job whose record is damaged under serve is set aside; the others run, and status, doctor, log and verify tell', async (t) => {
  const here = project(t)
  const supervisor = await here.serve()
  await runJson(here, 0, 'pause', 'default')
  const ids: string[] = []
  for (const a of [1, 2, 3]) {
    const { id } = await runJson(here, 0, 'enqueue', 'sums.add', '--params', JSON.stringify({ a, b: 1 }))
    ids.push(id)
  }
  await damageJobs(here, seqOf(ids[1]!))
  await runJson(here, 0, 'resume', 'default')
  const after = await runJson(here, 0, 'enqueue', 'sums.add', '--params', '{"a":4,"b":1}', '--wait')
  assert.equal(after.result, 5)
  for (const id of [ids[0]!, ids[2]!]) {
    const { state } = await runJson(here, 0, 'job', id)
    assert.equal(state, 'completed')
  }
  assert.match((await here.run('job', ids[1]!)).stderr, /no job has this id/)
  const status = await runJson(here, 0, 'status')
  assert.equal(status.store.setAside, 1)
  assert.deepEqual(status.queues.find(({ queue }: { queue: string }) => queue === 'default').counts.ready, 0)
  const doctor = await runJson(here, 1, 'doctor')
  assert.match(doctor.findings[0].what, /1 record was damaged and set aside/)
  await supervisor.logged('damaged record set aside')
  const verified = await runJson(here, 0, 'verify')
  assert.equal(verified.setAside.count, 1)
  assert.equal(verified.setAside.records[0].key, jobKey(seqOf(ids[1]!)).toString('hex'))
  assert(Buffer.from(verified.setAside.records[0].value, 'base64').includes('sums.add'))
})

test('issue 7.5: a damaged store is refused with the way out; verify --repair sets it right, and not beside a supervisor', async (t) => {
  const here = project(t)
  const first = await here.serve()
  await runJson(here, 0, 'pause', 'default')
  const ids: string[] = []
  for (const a of [1, 2, 3, 4]) {
    ids.push((await runJson(here, 0, 'enqueue', 'sums.add', '--params', JSON.stringify({ a, b: 1 }))).id)
  }
  const locked = await here.run('verify', '--repair')
  assert.equal(locked.code, 2)
  assert.match(locked.stderr, /owns it/)
  await first.end('SIGTERM')
  await damageJobs(here, seqOf(ids[0]!), seqOf(ids[2]!))
  const refused = await here.run('serve')
  assert.notEqual(refused.code, 0)
  assert.match(refused.stderr, /runtime verify --repair/)
  assert.equal((await runJson(here, 1, 'verify')).sound, false)
  const repaired = await runJson(here, 0, 'verify', '--repair')
  assert.equal(repaired.sound, true)
  assert.deepEqual(repaired.repaired.setAside.length, 2)
  assert.equal(repaired.setAside.count, 2)
  const second = await here.serve()
  await runJson(here, 0, 'resume', 'default')
  for (const [at, sum] of [
    [1, 3],
    [3, 5]
  ] as const) {
    const client = await here.run('call', 'job.wait', JSON.stringify({ id: ids[at] }), '--json')
    assert.equal(JSON.parse(client.stdout).result, sum, client.stderr)
  }
  await second.end('SIGTERM')
  const discarded = await runJson(here, 0, 'verify', '--discard')
  assert.equal(discarded.repaired.discarded, 2)
  assert.equal(discarded.setAside.count, 0)
})
