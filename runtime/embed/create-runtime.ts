import { configFromOptions } from '../config/load.ts'
import type { Runtime } from '../core/api.ts'
import type { RuntimeOptions } from '../core/config.ts'
import { startRuntime } from './start-runtime.ts'

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
  const { runtime } = await startRuntime(configFromOptions(options, process.cwd()))
  return runtime
}
