/**
 * Exit codes, and what each error means for them. Scripts rely on these numbers; `runtime --help` lists them.
 *
 * One table for all commands: to name an unknown queue or method is wrong usage wherever it is typed; that a job is
 * gone or in the wrong state is an answer, so the thing asked for failed.
 */
import { type ErrorCode, RuntimeError } from '../core/errors.ts'
import { RpcMethodNotFound } from '../rpc/json-rpc.ts'

export const exitCodes = {
  done: 0,
  /** The thing asked for failed: a job failed or was cancelled, a check found something, a request was refused. */
  failed: 1,
  /** Wrong usage or configuration. */
  usage: 2,
  /** No supervisor answers at the socket. */
  unreachable: 3,
  /** Timed out waiting. */
  timedOut: 4
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

const exitCodeByError: Partial<Record<ErrorCode, ExitCode>> = {
  NOT_CONNECTED: exitCodes.unreachable,
  WAIT_TIMEOUT: exitCodes.timedOut,
  CONFIG_INVALID: exitCodes.usage,
  DATA_DIR_LOCKED: exitCodes.usage,
  DATA_DIR_INVALID: exitCodes.usage,
  SOCKET_INVALID: exitCodes.usage,
  METHOD_UNKNOWN: exitCodes.usage,
  QUEUE_UNKNOWN: exitCodes.usage,
  EVENT_UNKNOWN: exitCodes.usage,
  PARAMS_INVALID: exitCodes.usage
}

/** @returns the exit code of a command that ended with `error`; a defect counts as failed. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof RpcMethodNotFound) return exitCodes.usage
  return (error instanceof RuntimeError ? exitCodeByError[error.code] : undefined) ?? exitCodes.failed
}
