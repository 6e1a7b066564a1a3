/**
 * Errors of the system (issue 7.4): every kind of call on the files of the data directory fails with every error, while a
 * supervisor starts, works, and stops. What was acknowledged is there after the next start; the supervisor says what is wrong,
 * and goes on by itself where it can, or ends and says why.
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Runtime } from '../../runtime/core/api.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { openDataDirectory } from '../../runtime/store/data-directory.ts'
import type { Started } from '../cli/spawn-cli.ts'
import { assertInvariants } from '../queue/store-invariants.ts'
import { cannotRun, compiled, type Ended, FaultyProject } from './faulty-supervisor.ts'

const isLong = process.env.LONG !== undefined
/** For example CELL="^load pwrite EIO$": those only. */
const only = process.env.CELL

const errors = [
  'EIO',
  'ENOSPC',
  'EDQUOT',
  'EMFILE',
  'ENFILE',
  'EROFS',
  'EINTR',
  'short',
  'short-fail ENOSPC',
  'full ENOSPC',
  'full EDQUOT'
] as const
const fullErrors = ['full ENOSPC', 'full EDQUOT']
/** The calls that are made in a phase. `restart`: of a directory that is there. */
const kindsOf = {
  create: [
    'open',
    'write',
    'pwrite',
    'sync',
    'rename',
    'link',
    'unlink',
    'mkdir',
    'read',
    'mmap',
    'statfs',
    'lock',
    'truncate'
  ],
  restart: ['open', 'write', 'pwrite', 'sync', 'rename', 'read', 'mmap', 'statfs', 'lock'],
  load: ['pwrite', 'sync'],
  stop: ['pwrite', 'sync', 'unlink']
} as const
type Phase = keyof typeof kindsOf
interface Cell {
  phase: Phase
  kind: string
  error: string
}

const isWrite = (kind: string) => ['write', 'pwrite'].includes(kind)
/** A data file has room ahead; while a supervisor starts or stops it need not grow. */
const mayGrow = (phase: Phase, kind: string) => kind === 'write' || phase === 'create' || phase === 'load'
const cells: Cell[] = (Object.keys(kindsOf) as Phase[]).flatMap((phase) =>
  kindsOf[phase].flatMap((kind) =>
    errors
      .filter((error) => isWrite(kind) || !error.match(/^short|^full/))
      .filter((error) => mayGrow(phase, kind) || !fullErrors.includes(error))
      .map((error) => ({ phase, kind, error }))
  )
)
/** In the short form: what users are most likely to meet. */
const shortForm = [
  'load pwrite full EDQUOT',
  'load sync EIO',
  'create write full EDQUOT',
  'create pwrite full ENOSPC',
  'stop sync ENOSPC'
]

const withinMs = 20_000
/** Running jobs may take 30 s to end, and while the disk is full the supervisor tries to store their outcomes. */
const impatientMs = 3_000
const loadMs = isLong ? 400 : 150

/** Fails with the name of what did not happen in time, instead of hanging. */
async function within<T>(what: string, promise: Promise<T>, ms = withinMs): Promise<T> {
  const end = new AbortController()
  const late = pause(ms, undefined, { signal: end.signal }).then(
    () => {
      throw new Error(`${what}: not within ${ms} ms`)
    },
    () => undefined as never
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    end.abort()
  }
}

/** The end of a supervisor that has met an error: by its own decision, and with the reason. */
function assertClearEnd({ code, signal, stderr }: Ended, { phase, kind, error }: Cell): void {
  // Where LMDB cannot open its files, lmdb 3.5.6 frees the same memory twice; nothing has been acknowledged yet. What a disk
  // refuses is asked before, but not whether it writes half of what it is given and says nothing.
  const isOpening = ['mmap', 'lock'].includes(kind) || (phase === 'create' && kind === 'pwrite' && error === 'short')
  if (isOpening && signal === 'SIGSEGV') return
  // LMDB damages the heap when a write fails that is no lack of room: it ends without an answer, one way or the other.
  if (stderr.includes('Write error: ') && signal !== null) return
  // Where the store cannot be closed the supervisor has itself killed.
  assert(code === 0 || code === 1 || code === 2 || signal === 'SIGKILL', `ended by ${code ?? signal}: ${stderr}`)
  if (code !== 0) assert.match(stderr, /Cannot |the store failed|stopping failed/)
  assert.doesNotMatch(stderr, /TypeError|UnhandledPromise|unhandledRejection/)
}

class Run {
  readonly acknowledged: string[] = []
  readonly refusals = new Map<string, number>()
  readonly project: FaultyProject

  constructor(project: FaultyProject) {
    this.project = project
  }

  /** @returns the process, and how it has ended if it did not become ready */
  async start(what: string): Promise<{ started: Started; ended?: Ended }> {
    const started = this.project.serve()
    const ended = await within(what, Promise.race([started.stdout.said('\n').then(() => undefined), started.ended]))
    return ended === undefined ? { started } : { started, ended }
  }

  /** Enqueues until `until` is told, and notes what was acknowledged. */
  async load(runtime: Runtime, isOver: () => boolean): Promise<void> {
    let number = 0
    const client = async (method: string, params: object) => {
      while (!isOver()) {
        try {
          const { id } = await runtime.enqueue(
            method,
            { ...params, number: number++, text: 'x'.repeat(2_000) },
            { queue: 'short' }
          )
          this.acknowledged.push(id)
        } catch (error) {
          assert(error instanceof RuntimeError, String(error))
          this.refusals.set(error.code, (this.refusals.get(error.code) ?? 0) + 1)
          if (error.code !== 'STORAGE_FULL') return
          await pause(5)
        }
        if (method === 'work.talkative') await pause(100)
      }
    }
    await Promise.all([client('work.quick', {}), client('work.quick', {}), client('work.talkative', { ms: loadMs })])
  }

  /** Without faults: starts, has everything that was acknowledged done, stops; and the store is sound. */
  async recover(): Promise<void> {
    this.project.clearRule()
    const { started, ended } = await this.start('start after the fault')
    assert.equal(ended, undefined, `did not start again: ${ended?.stderr}`)
    const runtime = await this.project.connect()
    const { id } = await runtime.enqueue('work.quick', { number: -1 }, { queue: 'short' })
    for (const job of [...this.acknowledged, id]) {
      const { state } = await within(`end of job ${job}`, runtime.job.wait(job))
      assert.equal(state, 'completed', job)
    }
    await runtime.stop()
    started.process.kill('SIGTERM')
    const { code, stderr } = await within('stop after the fault', started.ended)
    assert.equal(code, 0, stderr)
    const open = await openDataDirectory(this.project.dataDir)
    assertInvariants(open.store.reader, open.tag, new Map())
    await open.close()
  }
}

async function runCell(t: TestContext, library: string, cell: Cell): Promise<{ run: Run; hits: number }> {
  const { phase, kind, error } = cell
  const run = new Run(new FaultyProject(t, library))
  const { project } = run
  // A call that is interrupted is interrupted again only so often.
  const rule = { kind, error, ...(error === 'EINTR' && { count: 3 }) }
  let hits = 0
  if (phase === 'restart') {
    const { started } = await run.start('first start')
    const runtime = await project.connect()
    let count = 0
    await run.load(runtime, () => count++ > 10)
    await runtime.stop()
    // Not closed, so that the store is verified.
    started.process.kill('SIGKILL')
    await started.ended
  }
  if (phase === 'create' || phase === 'restart') project.setRule(rule)
  const { started, ended } = await run.start('start')
  hits = project.hits().length
  if (ended !== undefined) {
    assertClearEnd(ended, cell)
  } else {
    project.clearRule()
    const runtime = await project.connect()
    let isOver = false
    const load = run.load(runtime, () => isOver)
    await pause(loadMs)
    if (phase === 'load') {
      project.setRule(rule)
      await Promise.race([pause(2 * loadMs + 1_000), started.ended])
      hits = project.hits().length
      const status = await runtime.status().catch(() => undefined)
      if (fullErrors.includes(error) && kind !== 'sync' && status !== undefined && run.refusals.has('STORAGE_FULL')) {
        assert.equal(status.state, 'storageFull')
      }
      // What it says after that is not to be trusted, so nothing may be tried again as if there were no room.
      if (error === 'EIO') assert(!run.refusals.has('STORAGE_FULL'), 'a disk that fails is taken for a full one')
      project.clearRule()
      if (status !== undefined) {
        const { id } = await within('enqueue once there is room', untilEnqueued(runtime, started))
        if (id !== undefined) run.acknowledged.push(id)
      }
    }
    if (phase === 'stop') {
      isOver = true
      await load
      project.setRule(rule)
    }
    isOver = true
    await within('clients', load)
    await runtime.stop()
    started.process.kill('SIGTERM')
    const impatient = setTimeout(() => started.process.kill('SIGTERM'), impatientMs)
    const end = await within('stop', started.ended)
    clearTimeout(impatient)
    assertClearEnd(end, cell)
    if (phase === 'stop') hits = project.hits().length
  }
  await run.recover()
  return { run, hits }
}

/** @returns without an id where the supervisor has ended, or is about to */
async function untilEnqueued(runtime: Runtime, started: Started): Promise<{ id?: string }> {
  for (;;) {
    try {
      return await runtime.enqueue('work.quick', { number: -2 }, { queue: 'short' })
    } catch (error) {
      if (!(error instanceof RuntimeError) || error.code !== 'STORAGE_FULL') {
        await started.ended
        return {}
      }
      await pause(10)
    }
  }
}

describe('errors of the system (issue 7.4)', { skip: cannotRun }, () => {
  test('a store that grows is not mapped again, which LMDB cannot bear to fail', { timeout: 60_000 }, async (t) => {
    const { run, hits } = await runCell(t, compiled(t), { phase: 'load', kind: 'mmap', error: 'EIO' })
    assert(run.acknowledged.length > 0)
    assert.equal(hits, 0)
  })

  test('no call that fails takes away what was acknowledged', { timeout: isLong ? 3_600_000 : 300_000 }, async (t) => {
    const library = compiled(t)
    const nameOf = ({ phase, kind, error }: Cell) => `${phase} ${kind} ${error}`
    const chosen = cells.filter((cell) =>
      only === undefined ? isLong || shortForm.includes(nameOf(cell)) : new RegExp(only).test(nameOf(cell))
    )
    let acknowledged = 0
    const refusals = new Map<string, number>()
    const notMet: string[] = []
    const wrong: string[] = []
    for (const cell of chosen) {
      try {
        const { run, hits } = await runCell(t, library, cell)
        acknowledged += run.acknowledged.length
        for (const [code, count] of run.refusals) refusals.set(code, (refusals.get(code) ?? 0) + count)
        if (hits === 0) notMet.push(nameOf(cell))
        if (process.env.SHOW)
          t.diagnostic(
            `${nameOf(cell)}: ${hits} hits, ${run.acknowledged.length} acknowledged, ${JSON.stringify([...run.refusals])}`
          )
      } catch (error) {
        wrong.push(`CELL="^${nameOf(cell)}$": ${(error as Error).message}`)
        if (process.env.SHOW) t.diagnostic(wrong.at(-1)!)
      }
    }
    t.diagnostic(`${chosen.length} cells, ${acknowledged} jobs acknowledged, refused: ${JSON.stringify([...refusals])}`)
    assert.deepEqual(wrong, [])
    assert.deepEqual(notMet, [], 'cells whose fault was never met')
  })
})
