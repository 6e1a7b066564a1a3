/**
 * `runtime doc export [TYPE]`: every document, of one type or of all, one JSON object a line, as `doc.export` shows it.
 *
 * With `--output FILE` they go into a file, which only its owner may read, and which has its name once it is complete: an
 * export that is broken off leaves what was there before. `--json` prints `{"exported", "file"}` then.
 */
import { open, rename, rm } from 'node:fs/promises'
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
    // Opened before anything is asked for: what cannot be written is told at once.
    const opened = await open(partial, 'w', 0o600)
    await pipeline(lines, opened.createWriteStream({ flush: true }))
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw error instanceof RuntimeError ? error : notWritten(file, error as Error)
  } finally {
    output.clearProgress()
  }
  output.answer({ exported, file }, () => `Exported ${counted(exported, 'document')} to ${oneLine(file)}.`)
}

function notWritten(file: string, { message }: Error): RuntimeError {
  return new RuntimeError('PARAMS_INVALID', `Cannot write the documents to ${file}: ${message}`, { file })
}
