import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

const memory = '/dev/shm'

/**
 * An empty folder with a short path (socket paths are bounded), removed when the test ends.
 *
 * @param on `memory`, where the machine has that: for what is measured in time, which a busy disk would distort
 */
export function temporaryFolder(test: TestContext, on: 'disk' | 'memory' = 'disk'): string {
  const parent = on === 'memory' && existsSync(memory) ? memory : tmpdir()
  const folder = mkdtempSync(join(realpathSync(parent), 'ar-'))
  test.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}
