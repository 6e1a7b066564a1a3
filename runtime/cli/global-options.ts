/** The options that every command takes, and what follows from them: the configuration, and where the socket is. */
import { resolve } from 'node:path'
import type { RuntimeConfig } from '../core/config.ts'
import { RuntimeError } from '../core/errors.ts'

export interface GlobalOptions {
  socket?: string
  config?: string
  dataDir?: string
  json?: boolean
}

/**
 * The configuration as `serve` would use it in this folder.
 *
 * @param actors folder of actor modules instead of the configured ones
 * @throws RuntimeError `CONFIG_INVALID`
 */
export async function configurationOf(options: GlobalOptions, actors?: string): Promise<RuntimeConfig> {
  const read = await configurationReader(options, actors)
  return read()
}

/** @returns a function that reads the same configuration, as it is then */
export async function configurationReader(options: GlobalOptions, actors?: string): Promise<() => RuntimeConfig> {
  const { loadConfig } = await import('../config/load.ts')
  return () =>
    loadConfig({
      file: options.config,
      workingDirectory: process.cwd(),
      env: process.env,
      overrides: { dataDir: options.dataDir, socket: options.socket, actors }
    })
}

/**
 * Where the supervisor listens: `--socket`, else `RUNTIME_SOCKET`, else what the configuration says. The configuration is
 * read only in the last case, because that costs a command half of its start.
 *
 * @returns an absolute path
 * @throws RuntimeError `CONFIG_INVALID`
 */
export async function socketPathOf(options: GlobalOptions): Promise<string> {
  const named = options.socket ?? process.env.RUNTIME_SOCKET
  if (named) return resolve(named)
  const { socket } = await configurationOf(options)
  if (socket !== null) return socket
  throw new RuntimeError('CONFIG_INVALID', 'The configuration names no socket to connect to. Pass --socket.')
}
