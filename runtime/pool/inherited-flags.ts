/**
 * Flags of this process that threads and child processes take over. Node passes on all of them by itself, which is right
 * except for one: with `--input-type`, as in `node --input-type=module -e …`, threads and children that run a file refuse
 * to start. Then only those flags are passed on that decide how modules are loaded.
 */
const loadingFlags = new Set([
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--conditions',
  '-C',
  '--enable-source-maps',
  '--experimental-strip-types',
  '--experimental-transform-types',
  '--preserve-symlinks',
  '--no-warnings'
])
const flagsWithoutValue = new Set([
  '--enable-source-maps',
  '--experimental-strip-types',
  '--experimental-transform-types',
  '--preserve-symlinks',
  '--no-warnings'
])

/** @returns options with `execArgv` for a thread or a child; empty where Node's own rule is right */
export function inheritedFlags(flags: readonly string[] = process.execArgv): { execArgv?: string[] } {
  if (!flags.some((flag) => flag === '--input-type' || flag.startsWith('--input-type='))) return {}
  const execArgv: string[] = []
  for (let index = 0; index < flags.length; index++) {
    const flag = flags[index] ?? ''
    const [name = ''] = flag.split('=', 1)
    const hasNextAsValue = !flag.includes('=') && !flagsWithoutValue.has(name)
    if (!loadingFlags.has(name)) {
      if (flag === '-e' || flag === '--eval' || flag === '--input-type') index += 1
    } else if (hasNextAsValue) execArgv.push(flag, flags[++index] ?? '')
    else execArgv.push(flag)
  }
  return { execArgv }
}
