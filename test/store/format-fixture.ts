/** Data directories that released formats wrote: `format-1` and so on, each with what was in it and a README. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { QueueConfig } from '../../runtime/core/config.ts'
import { type OpenQueue, openQueueIn } from '../queue/open-queue.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const folderOf = (format: number) => join('test', 'store', `format-${format}`)

/** @returns what `expected.json` of the fixture says */
export function expectedOf<Expected>(format: number): Expected {
  return JSON.parse(readFileSync(join(folderOf(format), 'expected.json'), 'utf8')) as Expected
}

/** @returns a copy of the data directory; default: in a folder of its own */
export function unpack(test: TestContext, format: number, directory = temporaryFolder(test)): string {
  mkdirSync(join(directory, 'store'), { recursive: true })
  copyFileSync(join(folderOf(format), 'actor-runtime.json'), join(directory, 'actor-runtime.json'))
  writeFileSync(join(directory, 'store', 'data.mdb'), gunzipSync(readFileSync(join(folderOf(format), 'data.mdb.gz'))))
  return directory
}

export async function openCopy(
  test: TestContext,
  format: number,
  nowMs: number,
  configs: readonly QueueConfig[]
): Promise<OpenQueue> {
  const opened = await openQueueIn(unpack(test, format), nowMs, ...configs)
  test.after(() => opened.close())
  return opened
}
