import { spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'

/** Mounts a file system in memory of so many bytes over a folder. @returns false where this user may not mount. */
export function mountSmallDisk(test: TestContext, folder: string, sizeBytes: number): boolean {
  if (process.platform !== 'linux') return false
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', folder])
  if (status !== 0) return false
  test.after(() => {
    spawnSync('umount', ['--lazy', folder])
  })
  return true
}
