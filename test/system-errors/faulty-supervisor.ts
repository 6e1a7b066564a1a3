/** A supervisor whose calls to the system fail where a rule says, through faults.c. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import { cliMain, type Started } from '../cli/spawn-cli.ts'
import { TestProject } from '../support/supervisor-process.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const source = join(fileURLToPath(new URL('.', import.meta.url)).replace(/\.?build\/[^/]+\/|dist\//, ''), 'faults.c')
const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0)
export const cannotRun =
  process.platform !== 'linux' ? 'Linux only' : compiler === undefined ? 'there is no C compiler' : false

export function compiled(test: TestContext): string {
  const library = join(temporaryFolder(test), 'faults.so')
  execFileSync(compiler!, ['-O2', '-shared', '-fPIC', '-o', library, source])
  return library
}

export interface Rule {
  kind: string
  /** An error of the system, or how much is written. */
  error: string
  skip?: number
  count?: number
  /** What the path must contain. */
  path?: string
}

export type Ended = Awaited<Started['ended']>

const actor = `
import { setTimeout as pause } from 'node:timers/promises'
export const quick = async (params) => params.number
export async function talkative(params, ctx) {
  for (let percent = 0; percent < 100; percent += 10) {
    ctx.progress(percent)
    ctx.log.info('line ' + percent)
    await pause(params.ms / 10)
  }
}
`

export class FaultyProject {
  readonly project: TestProject
  readonly dataDir: string
  readonly #library: string
  readonly #socket: string
  readonly #rule: string
  readonly #hits: string
  #rules = 0

  constructor(test: TestContext, library: string, on: 'disk' | 'memory' = 'memory') {
    this.#library = library
    this.project = new TestProject(test, on)
    const { folder } = this.project
    this.dataDir = join(folder, 'data')
    this.#socket = join(folder, 's.sock')
    this.#rule = join(folder, 'rule')
    this.#hits = join(folder, 'hits')
    mkdirSync(join(folder, 'config'))
    const queue = '{ backgroundWorkers: 4, isolation: inline, attempts: 3 }'
    writeFileSync(join(folder, 'config', 'runtime.yaml'), `workers:\n  short: ${queue}\n`)
    this.project.write('actors/work.mjs', actor)
  }

  setRule({ kind, error, skip = 0, count = 1_000_000, path = '-' }: Rule): void {
    const how = error.includes(' ') || error === 'short' ? error.split(' ')[0]! : 'fail'
    const name = error.split(' ').at(-1)!
    const number = name === 'short' ? 0 : constants.errno[name as 'EIO']
    writeFileSync(this.#rule, `rule${++this.#rules} ${kind} ${how} ${number} ${skip} ${count} ${path}\n`)
  }

  clearRule(): void {
    rmSync(this.#rule, { force: true })
  }

  /** Calls that the rules so far have hit. */
  hits(): string[] {
    return existsSync(this.#hits) ? readFileSync(this.#hits, 'utf8').trim().split('\n') : []
  }

  /** Starts `runtime serve` under the library. */
  serve(): Started {
    const { folder } = this.project
    return this.project.startProcess(
      'env',
      `LD_PRELOAD=${this.#library}`,
      `FAULTS_FOLDER=${this.dataDir}`,
      `FAULTS_RULE=${this.#rule}`,
      `FAULTS_HITS=${this.#hits}`,
      process.execPath,
      cliMain,
      'serve',
      ...['--data-dir', this.dataDir, '--socket', this.#socket, '--actors', join(folder, 'actors')]
    )
  }

  connect(): Promise<Runtime> {
    return connect(this.#socket)
  }
}
