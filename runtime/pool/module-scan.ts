/**
 * Has actor modules imported by a child process and collects what they export. One child takes the files in order and
 * answers each; when it ends or keeps silent for too long, the file that is next in order is to blame, and a fresh child
 * goes on behind it. The child is killed as soon as the last answer is there.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ScanMessage, ScannedExport } from '../actor/messages.ts'
import { inheritedFlags } from './inherited-flags.ts'

/** `failure`: why the module cannot be used. */
export type ScannedModule = { exports: readonly ScannedExport[] } | { failure: string }

/** A child that starts while it is not known yet what to scan: to start takes it longer than to scan. */
export class ScanChild {
  #child: ChildProcess | undefined = startChild()

  constructor() {
    // One that could not be started is not taken.
    this.#child?.on('error', ignore)
  }

  /** @returns what it is, once, and as long as it is of use */
  take(): ChildProcess | undefined {
    const child = this.#child
    this.#child = undefined
    return child?.connected && child.exitCode === null && child.signalCode === null ? child : undefined
  }

  /** Ends it unless it was taken. */
  stop(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}

export interface ModuleScanOptions {
  /** Longest time that importing one module may take. */
  moduleMsMax: number
  /** Abort: the child is killed and what is left counts as failed. */
  signal: AbortSignal
  /** For the first of the files. */
  child?: ScanChild | undefined
}

const scanEntry = fileURLToPath(new URL('../actor/scan.js', import.meta.url))

/**
 * @param files absolute paths
 * @returns one entry for each file
 * @throws Error where no child process can be started
 */
export async function scanModules(
  files: readonly string[],
  options: ModuleScanOptions
): Promise<Map<string, ScannedModule>> {
  const scanned = new Map<string, ScannedModule>()
  while (scanned.size < files.length) {
    const failure = await scanWithOneChild(files.slice(scanned.size), scanned, options)
    const culprit = files[scanned.size]
    if (culprit !== undefined) scanned.set(culprit, { failure })
  }
  return scanned
}

/** @returns why the child went no further; of no meaning where it answered for all files */
async function scanWithOneChild(
  files: readonly string[],
  scanned: Map<string, ScannedModule>,
  { moduleMsMax, signal, child: early }: ModuleScanOptions
): Promise<string> {
  if (signal.aborted) return 'the scan was stopped'
  const child = early?.take() ?? startChild()
  let isTooLong = false
  const kill = () => child.kill('SIGKILL')
  const deadline = setTimeout(() => {
    isTooLong = true
    kill()
  }, moduleMsMax)
  let answered = 0
  child.on('message', (message: ScanMessage) => {
    if (isAnswer(message, files[answered])) {
      scanned.set(message.file, message.type === 'module' ? { exports: message.exports } : { failure: message.message })
      answered += 1
      if (answered === files.length) kill()
    } else if (isReady(message) && answered === 0) child.send([...files], ignore)
    else return
    deadline.refresh()
  })
  signal.addEventListener('abort', kill)
  try {
    const [code, killedBy] = await endOf(child)
    if (signal.aborted) return 'the scan was stopped'
    if (isTooLong) return `it is not loaded after ${moduleMsMax} ms; work belongs into methods, not on the top level`
    return `it ended its process while it was loaded (${killedBy ?? `exit code ${code}`})`
  } finally {
    clearTimeout(deadline)
    signal.removeEventListener('abort', kill)
  }
}

function startChild(): ChildProcess {
  return fork(scanEntry, { stdio: ['pipe', 'ignore', 'ignore', 'ipc'], ...inheritedFlags() })
}

/** Its last answers may be read after its exit, so both ends are awaited. */
async function endOf(child: ChildProcess): Promise<[code: number | null, signal: NodeJS.Signals | null]> {
  const disconnected = once(child, 'disconnect')
  const [exit] = await Promise.all([once(child, 'exit'), disconnected])
  return exit as [number | null, NodeJS.Signals | null]
}

/** Modules can send messages of their own, such as the "ready" of some process managers. */
function isAnswer(message: ScanMessage, file: string | undefined): message is Exclude<ScanMessage, { type: 'ready' }> {
  const type = message?.type
  return (type === 'module' || type === 'failure') && message.file === file
}

/** A child that is gone already says so by its end; without this, a failed `send` would be an event that ends us. */
function ignore(): void {}

function isReady(message: ScanMessage): boolean {
  return message?.type === 'ready'
}
