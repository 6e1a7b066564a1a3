import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/**
 * @returns a folder on a file system of its own, of so many bytes; undefined where this user may not mount one
 * @throws Error in CI, where the test of a full disk may not be left out
 */
export function smallDisk(test: TestContext, sizeBytes: number): string | undefined {
  if (process.platform !== 'linux') return undefined
  const folder = mkdtempSync(join(tmpdir(), 'ar-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0700`, 'tmpfs', folder])
  test.after(() => {
    if (status === 0) spawnSync('umount', ['--lazy', folder])
    rmdirSync(folder)
  })
  if (status === 0) return folder
  if (process.env.CI) throw new Error('The test of a full disk must be able to mount a tmpfs: run CI as root')
  return undefined
}
