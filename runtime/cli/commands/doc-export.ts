/**
 * `runtime doc export [TYPE]`: every document, of one type or of all, one JSON object a line, as `doc.export` shows it.
 *
 * With `--output FILE` they go into a file, which only its owner may read, and which has its name once it is complete: an
 * export that is broken off leaves what was there before. `--json` prints `{"exported", "file"}` then.
 */
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { RuntimeError } from '../../core/errors.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/** Documents between two lines of progress. */
const progressEvery = 1_000

export async function exportDocuments(
  { runtime, output }: ClientSession,
  type: string | undefined,
  { output: file }: { output?: string }
): Promise<void> {
  const documents = runtime.doc.export(present({ type }))
  if (file === undefined) {
    for await (const document of documents) await output.line(document)
    return
  }
  let exported = 0
  async function* lines(): AsyncGenerator<string> {
    for await (const document of documents) {
      yield `${JSON.stringify(document)}\n`
      exported += 1
      if (exported % progressEvery === 0) output.progress(`exported ${counted(exported, 'document')} so far`)
    }
  }
  const partial = `${file}.partial`
  try {
    await pipeline(lines, createWriteStream(partial, { mode: 0o600, flush: true }))
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    if (error instanceof RuntimeError) throw error
    const reason = (error as Error).message
    throw new RuntimeError('PARAMS_INVALID', `Cannot write the documents to ${file}: ${reason}`, { file })
  } finally {
    output.clearProgress()
  }
  output.answer({ exported, file }, () => `Exported ${counted(exported, 'document')} to ${oneLine(file)}.`)
}
