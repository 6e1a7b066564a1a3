/**
 * Child process: a hot copy of a store as of one commit, without its owner, synced and verified; sends one {@link CopyReport}. It
 * reads beside the supervisor, and what it meets in the file ends only itself.
 * Arguments: folder of the store; folder of the copy, which is made. It ends when the supervisor does.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { metaKey } from './keys.ts'
import { syncPath } from './synced-files.ts'
import { type Verification, verifyFile } from './verification.ts'

export type CopyReport = { verification: Verification } | { error: string; isDiskFull: boolean }

const encodings = { encoding: 'binary', keyEncoding: 'binary' } as const
/** The store may grow beyond what was mapped of it, between the opening and the copy. */
const triesMax = 5

async function copyStore(source: string, target: string): Promise<Verification> {
  mkdirSync(target, { mode: 0o700 })
  await copyOnce(source, target, triesMax)
  await withoutOwner(target)
  const file = join(target, 'data.mdb')
  syncPath(file)
  syncPath(target)
  return verifyFile(file)
}

async function copyOnce(source: string, target: string, triesLeft: number): Promise<void> {
  const store = open({ path: source, noSubdir: false, readOnly: true, ...encodings })
  try {
    // Without the free pages; it walks through both trees.
    await store.backup(target, true)
  } catch (error) {
    if (triesLeft === 0 || !/MAP_RESIZED|resized/i.test((error as Error).message)) throw error
    await copyOnce(source, target, triesLeft - 1)
  } finally {
    await store.close()
  }
}

/**
 * Who opens the copy is not to take the owner of the original for its own. Two commits, since a copy has only one of the two
 * headers that LMDB writes in turn.
 */
async function withoutOwner(target: string): Promise<void> {
  const store: RootDatabase<Buffer, Buffer> = open({
    path: target,
    noSubdir: false,
    overlappingSync: false,
    eventTurnBatching: false,
    permissionsMode: 0o600,
    ...encodings
  } as Parameters<typeof open>[0])
  const owner = metaKey('owner')
  for (const write of [() => store.putSync(owner, Buffer.of(0)), () => store.removeSync(owner)]) {
    store.transactionSync(() => {
      write()
    })
  }
  await store.close()
}

async function report(source: string, target: string): Promise<CopyReport> {
  try {
    return { verification: await copyStore(source, target) }
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string }
    const isDiskFull = code === 'ENOSPC' || code === 28 || /no space|disk quota/i.test(message)
    return { error: message, isDiskFull }
  }
}

process.umask(0o077)
process.once('disconnect', () => process.exit(1))
const [source = '', target = ''] = process.argv.slice(2)
process.send?.(await report(source, target))
