import type { Runtime } from '../core/api.ts'
import type { RuntimeOptions } from '../core/config.ts'

/**
 * Starts a runtime in this process: the store, the threads, and no server. When the promise resolves, jobs are accepted,
 * and those of an earlier run are being run again.
 *
 * @param options as in the configuration file; relative paths are relative to the working directory. A socket is opened
 * only where `socket` names one.
 * @throws RuntimeError `CONFIG_INVALID`, `DATA_DIR_LOCKED` with `data.pid` of the process that owns the directory,
 * `DATA_DIR_INVALID`, `SOCKET_INVALID`, `STORAGE_FULL`
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  // An actor imports the same package for its `Actor` class: its thread is not to load a store and a supervisor with it.
  const { configFromOptions } = await import('../config/load.ts')
  const { startRuntime } = await import('./start-runtime.ts')
  const { runtime } = await startRuntime(configFromOptions(options, process.cwd()))
  return runtime
}
