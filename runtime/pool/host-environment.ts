/** Variables that every host gets: what programs need to find files, talk the user's language and reach the network. */
const handedOn = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'TMP',
  'TEMP',
  'NODE_ENV',
  'NODE_PATH',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'SYSTEMROOT',
  'WINDIR',
  'COMSPEC',
  'PATHEXT',
  'APPDATA',
  'LOCALAPPDATA',
  'USERPROFILE',
  // For tests of crashes; see core/fail-points.ts.
  'RUNTIME_FAIL_POINT'
])
/** Each blocked read or DNS query holds one; four, as Node has, are soon used up by the jobs of one host. */
const poolThreadsPerJob = 4

/**
 * The environment of a host: of the supervisor's variables only those of a short list, so that a secret reaches a job only
 * where the configuration of its queue hands it on.
 *
 * @param own variables of the queue: a text is set, `true` hands on the supervisor's own
 */
export function hostEnvironment(
  own: Readonly<Record<string, string | true>>,
  threads: number,
  inherited: NodeJS.ProcessEnv = process.env
): Record<string, string> {
  const names = Object.keys(inherited).filter((name) => handedOn.has(name.toUpperCase()) || name.startsWith('LC_'))
  const wanted = Object.entries(own).map(([name, value]) => [name, value === true ? inherited[name] : value])
  const given = [
    ['UV_THREADPOOL_SIZE', String(poolThreadsPerJob * (threads + 1))],
    ...names.map((name) => [name, inherited[name]]),
    ...wanted
  ]
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Record<string, string>
}
