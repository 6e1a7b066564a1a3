/**
 * The configuration: one file, the environment, the command line; or the argument of `createRuntime`.
 *
 * The command line beats the environment (`RUNTIME_DATA_DIR`, `RUNTIME_SOCKET`), which beats the file, which beats the
 * defaults. A relative path of the file or a default starts at the project root: the folder that holds the `config` folder
 * of the file, else the file's own folder, and without a file the working directory. A relative path of the command line
 * or the environment starts at the working directory.
 */
import { basename, dirname, join, resolve } from 'node:path'
import { backoffDefault, backoffRule } from '../core/backoff.ts'
import type {
  PermissionOptions,
  Permissions,
  QueueConfig,
  QueueOptions,
  RateLimit,
  RateLimitRule,
  Retention,
  RetentionRule,
  RuntimeConfig,
  RuntimeOptions
} from '../core/config.ts'
import { durationToMs } from '../core/duration.ts'
import { checkOptions } from './check-options.ts'
import { findFile } from './find-file.ts'
import { frozenMap } from './frozen-map.ts'
import { configInvalid } from './problems.ts'
import { readYaml } from './read-yaml.ts'
import { type Reading, readValue } from './written.ts'

export interface ConfigSources {
  /** Named on the command line. */
  file?: string | undefined
  /** Absolute. */
  workingDirectory: string
  /** Such as `process.env`. An empty variable counts as not set. */
  env: Readonly<Record<string, string | undefined>>
  /** Values of the command line. */
  overrides: {
    dataDir?: string | undefined
    socket?: string | undefined
    actors?: string | readonly string[] | undefined
  }
}

const defaults = {
  dataDir: '.runtime',
  socketName: 'runtime.sock',
  actors: ['actors'],
  tickIntervalS: 60,
  timezone: 'UTC'
} as const

const dayMs = 24 * 3600 * 1000

const queueDefaults: Omit<QueueConfig, 'name'> = {
  timeoutMs: 300_000,
  backgroundWorkers: 2,
  attempts: 1,
  backoff: backoffDefault,
  maxQueued: null,
  softTimeoutMs: null,
  isolation: 'process',
  memoryLimitMb: null,
  minHosts: 0,
  hostIdleMs: 60_000,
  env: {},
  permissions: null,
  retryOn: null,
  noRetryOn: null,
  rateLimit: null,
  keyRateLimit: null,
  ageingMs: null,
  retention: {
    completed: { ageMs: 7 * dayMs, count: null, bytes: null },
    failed: { ageMs: 180 * dayMs, count: null, bytes: null },
    cancelled: { ageMs: 7 * dayMs, count: null, bytes: null }
  }
}

/** Queues that always exist, with their own timeouts (E12). */
const builtInTimeoutsMs: ReadonlyMap<string, number> = new Map([
  ['short', 300_000],
  ['default', 300_000],
  ['long', 1_500_000]
])

/**
 * Reads the file that `file`, else `RUNTIME_CONFIG` names, else `config/runtime.yaml`, else `config/runtime.json` under
 * the working directory; without any, everything has its default. Synchronous; nothing is created.
 *
 * @returns the configuration, complete, with absolute paths, deeply frozen
 * @throws RuntimeError `CONFIG_INVALID`: a named file is missing or cannot be read, or its content has problems; the
 * message lists all of them, one per line, and so does `data.problems` as `{file, line, column, path, message}`
 */
export function loadConfig({ file: named, workingDirectory, env, overrides }: ConfigSources): RuntimeConfig {
  const found = findFile(named || env.RUNTIME_CONFIG, workingDirectory)
  const file = found?.file ?? null
  const root = file === null ? workingDirectory : projectRoot(file)
  const { options, warnings } = accept(file, found === undefined ? readValue({}) : readYaml(found.text))
  const here = (path: string | undefined) => (path ? resolve(workingDirectory, path) : undefined)
  const there = (path: string | undefined) => (path === undefined ? undefined : resolve(root, path))

  const dataDir =
    here(overrides.dataDir) ?? here(env.RUNTIME_DATA_DIR) ?? resolve(root, options.dataDir ?? defaults.dataDir)
  const socket =
    here(overrides.socket) ?? here(env.RUNTIME_SOCKET) ?? there(options.socket) ?? join(dataDir, defaults.socketName)
  const actors =
    overrides.actors === undefined
      ? folders(options.actors ?? defaults.actors, root)
      : folders(overrides.actors, workingDirectory)
  return complete({
    dataDir,
    socket,
    actors,
    queues: queuesOf(options, root),
    ...schedulerOf(options),
    maxStoreBytes: options.maxStoreBytes ?? null,
    file,
    warnings
  })
}

/**
 * The configuration of an embedded runtime. Relative paths start at the working directory; no socket unless one is named;
 * the environment has no say.
 *
 * @throws RuntimeError `CONFIG_INVALID` as {@link loadConfig}, with null for file, line and column
 */
export function configFromOptions(options: RuntimeOptions, workingDirectory: string): RuntimeConfig {
  const { options: checked, warnings } = accept(null, readValue(options))
  return complete({
    dataDir: resolve(workingDirectory, checked.dataDir ?? defaults.dataDir),
    socket: checked.socket === undefined ? null : resolve(workingDirectory, checked.socket),
    actors: folders(checked.actors ?? defaults.actors, workingDirectory),
    queues: queuesOf(checked, workingDirectory),
    ...schedulerOf(checked),
    maxStoreBytes: checked.maxStoreBytes ?? null,
    file: null,
    warnings
  })
}

function accept(file: string | null, { root, problems }: Reading): { options: RuntimeOptions; warnings: string[] } {
  if (problems.length > 0) throw configInvalid(file, problems)
  const checked = checkOptions(root)
  if (checked.problems.length > 0) throw configInvalid(file, checked.problems)
  return checked
}

function projectRoot(file: string): string {
  const folder = dirname(file)
  return basename(folder) === 'config' ? dirname(folder) : folder
}

function folders(actors: string | readonly string[], base: string): string[] {
  return (typeof actors === 'string' ? [actors] : actors).map((folder) => resolve(base, folder))
}

function schedulerOf({ schedulerEvents = {}, schedulerTickInterval, timezone }: RuntimeOptions) {
  return {
    schedulerEvents,
    schedulerTickIntervalS: schedulerTickInterval ?? defaults.tickIntervalS,
    timezone: timezone ?? defaults.timezone
  }
}

/** @param root where relative paths start */
function queuesOf({ workers = {} }: RuntimeOptions, root: string): Map<string, QueueConfig> {
  const written = new Map(Object.entries(workers))
  const names = new Set([...builtInTimeoutsMs.keys(), ...written.keys()])
  return new Map([...names].map((name) => [name, queueConfig(name, written.get(name) ?? {}, root)]))
}

function queueConfig(name: string, options: QueueOptions, root: string): QueueConfig {
  return {
    name,
    timeoutMs: durationToMs(options.timeout) ?? builtInTimeoutsMs.get(name) ?? queueDefaults.timeoutMs,
    backgroundWorkers: options.backgroundWorkers ?? queueDefaults.backgroundWorkers,
    attempts: options.attempts ?? queueDefaults.attempts,
    backoff: options.backoff === undefined ? { ...queueDefaults.backoff } : backoffRule(options.backoff),
    maxQueued: options.maxQueued ?? queueDefaults.maxQueued,
    softTimeoutMs: options.softTimeout === undefined ? null : durationToMs(options.softTimeout)!,
    isolation: options.isolation ?? queueDefaults.isolation,
    memoryLimitMb: options.memoryLimitMb ?? null,
    minHosts: options.minHosts ?? queueDefaults.minHosts,
    hostIdleMs: durationToMs(options.hostIdleTimeout) ?? queueDefaults.hostIdleMs,
    env: environmentOf(options.env ?? {}),
    permissions: options.permissions === undefined ? null : permissionsOf(options.permissions, root),
    retryOn: options.retryOn ?? queueDefaults.retryOn,
    noRetryOn: options.noRetryOn ?? queueDefaults.noRetryOn,
    rateLimit: rateLimitOf(options.rateLimit),
    keyRateLimit: rateLimitOf(options.keyRateLimit),
    ageingMs: durationToMs(options.ageing) ?? queueDefaults.ageingMs,
    retention: retentionOf(options.retention)
  }
}

function rateLimitOf(limit: RateLimit | undefined): RateLimitRule | null {
  return limit === undefined ? null : { max: limit.max, perMs: durationToMs(limit.per)! }
}

/** An outcome that is named has the bounds that stand there, and no others. */
function retentionOf(written: QueueOptions['retention'] = {}): QueueConfig['retention'] {
  const rule = (outcome: keyof QueueConfig['retention']) => {
    const named = written[outcome]
    return named === undefined ? { ...queueDefaults.retention[outcome] } : retentionRule(named)
  }
  return { completed: rule('completed'), failed: rule('failed'), cancelled: rule('cancelled') }
}

function retentionRule({ age, count, bytes }: Retention): RetentionRule {
  return { ageMs: durationToMs(age) ?? null, count: count ?? null, bytes: bytes ?? null }
}

/** YAML reads `1` and `true` where a text was meant; `true` itself has a meaning, so only numbers are made texts. */
function environmentOf(env: Record<string, string | number | boolean>): Record<string, string | true> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value === true ? true : String(value)]))
}

function permissionsOf(options: PermissionOptions, root: string): Permissions {
  const { read = [], write = [], childProcess = false, addons = false, worker = false } = options
  const there = (paths: string[]) => paths.map((path) => resolve(root, path))
  return { read: there(read), write: there(write), childProcess, addons, worker }
}

function complete(config: RuntimeConfig): RuntimeConfig {
  for (const queue of config.queues.values()) freezeDeeply(queue)
  Object.freeze(config.actors)
  Object.freeze(config.warnings)
  freezeDeeply(config.schedulerEvents)
  return Object.freeze({ ...config, queues: frozenMap(config.queues) })
}

function freezeDeeply(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const part of Object.values(value)) freezeDeeply(part)
}
