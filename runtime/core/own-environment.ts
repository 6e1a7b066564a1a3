/**
 * The environment of a process in which only code of this project runs. Where `NODE_EXTRA_CA_CERTS` is set each process of Node
 * reads all certificates as it starts, which takes longer than all else; none of ours speaks TLS.
 */
export function ownEnvironment(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, ...others } = process.env
  return others
}
