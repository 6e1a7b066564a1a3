import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { RuntimeError } from '../core/errors.ts'
import type { Verification } from './verify.ts'

/** How long a start after an unclean stop may spend on reading the store before it goes on. */
const verifyTimeMsMax = 300
/** A reader that says nothing for so long is caught in damage, such as pages that lead back to themselves. */
const answerMsMax = 60_000

/**
 * Reads the store in another process, because LMDB ends its process on some damage. A large store is read in part.
 *
 * @throws RuntimeError `DATA_DIR_INVALID` where a record fails its checksum or the reader dies
 */
export async function verifyInChild(storePath: string, directory: string): Promise<void> {
  const child = fork(fileURLToPath(new URL('./verify.js', import.meta.url)), [storePath, String(verifyTimeMsMax)], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    timeout: answerMsMax,
    killSignal: 'SIGKILL'
  })
  const closed = once(child, 'close')
  const verification = await new Promise<Verification | { died: string }>((resolve) => {
    child.once('message', (message) => resolve(message as Verification))
    child.once('error', (error) => resolve({ died: error.message }))
    // Not `exit`, which may come before the message.
    child.once('close', (code, signal) => resolve({ died: signal ?? `exit code ${code}` }))
  })
  child.kill('SIGKILL')
  // What it reads is not freed for as long as LMDB takes it for alive, which it finds out when the store is opened.
  await closed
  const why =
    'died' in verification
      ? `reading it ends the process (${verification.died})`
      : verification.damaged > 0
        ? `${verification.damaged} of ${verification.entries} records fail their checksum; the first: ${verification.first}`
        : undefined
  if (why === undefined) return
  throw new RuntimeError(
    'DATA_DIR_INVALID',
    `Cannot open the data directory ${directory}: its store is damaged (${why}). Restore a backup, or start with a new directory.`,
    { directory }
  )
}
