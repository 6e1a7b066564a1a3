import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type ConfigSources, loadConfig } from '../../runtime/config/load.ts'
import type { RuntimeConfig } from '../../runtime/core/config.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

export interface Project {
  folder: string
  load(sources?: Partial<ConfigSources>): RuntimeConfig
}

/**
 * A temporary project folder with these files (path → text), and `loadConfig` with it as the working directory.
 *
 * @param on see {@link temporaryFolder}
 */
export function project(
  test: TestContext,
  files: Readonly<Record<string, string | Uint8Array>>,
  on: 'disk' | 'memory' = 'disk'
): Project {
  const folder = temporaryFolder(test, on)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  return {
    folder,
    load: (sources) => loadConfig({ workingDirectory: folder, env: {}, overrides: {}, ...sources })
  }
}

/** Loads `text` as the one configuration file of a project. */
export function loadText(test: TestContext, text: string): RuntimeConfig {
  return project(test, { 'config/runtime.yaml': text }).load()
}
