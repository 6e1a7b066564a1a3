/** Which configuration file counts, and its text. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { configInvalid } from './problems.ts'

const usualFiles = [join('config', 'runtime.yaml'), join('config', 'runtime.json')]

interface FoundFile {
  /** Absolute. */
  file: string
  text: string
}

/**
 * @param named by the user; relative to the working directory. undefined or empty: the usual places are looked at
 * @returns undefined where no file is named and none is at a usual place
 * @throws RuntimeError `CONFIG_INVALID` where the named file does not exist, or a file cannot be read as text
 */
export function findFile(named: string | undefined, workingDirectory: string): FoundFile | undefined {
  if (named) {
    const file = resolve(workingDirectory, named)
    const text = readText(file)
    if (text === undefined) throw unreadable(file, 'the file does not exist. Correct --config or RUNTIME_CONFIG.')
    return { file, text }
  }
  for (const usual of usualFiles) {
    const file = resolve(workingDirectory, usual)
    const text = readText(file)
    if (text !== undefined) return { file, text }
  }
  return undefined
}

function readText(file: string): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw unreadable(file, `the file cannot be read: ${message}.`)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unreadable(file, 'the file is not UTF-8 text. Save it as UTF-8.')
  }
}

function unreadable(file: string, message: string): Error {
  return configInvalid(file, [{ at: null, path: '', message }])
}
