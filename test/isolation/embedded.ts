import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Runtime } from '../../runtime/core/api.ts'
import type { QueueOptions } from '../../runtime/core/config.ts'
import { createRuntime } from '../../runtime/embed/create-runtime.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

interface Embedded {
  runtime: Runtime
  folder: string
}

/**
 * A runtime in this process over a project of its own; stopped when the test ends.
 *
 * @param files text by path in the project, such as `actors/a.js`
 */
export async function embedded(
  test: TestContext,
  files: Record<string, string>,
  workers: Record<string, QueueOptions> = {}
): Promise<Embedded> {
  let runtime: Runtime | undefined
  // Hooks run in the order of their registration: nothing may write any more when the folder is removed.
  test.after(() => runtime?.stop({ deadline: 0 }))
  const folder = temporaryFolder(test)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  runtime = await createRuntime({ dataDir: join(folder, '.runtime'), actors: join(folder, 'actors'), workers })
  return { runtime, folder }
}
