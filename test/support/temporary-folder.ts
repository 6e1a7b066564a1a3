import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** An empty folder with a short path (socket paths are bounded), removed when the test ends. */
export function temporaryFolder(test: TestContext): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'ar-'))
  test.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}
