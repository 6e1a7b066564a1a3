/**
 * Where the socket file may be, and the one way to open it on either side.
 *
 * Node can not ask who the peer of a socket is, so the file system guards it: the file is 0600, and a folder that is made
 * for it 0700. A file that is there already is only removed when it is a socket that nobody listens at.
 */
import { lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { createConnection, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { RuntimeError } from '../core/errors.ts'
import { socketPathBytesMax } from '../core/limits.ts'

/** @throws RuntimeError `SOCKET_INVALID`: the path is too long; the kernel would cut it without a word */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes > 0 && bytes <= socketPathBytesMax && !path.includes('\0')) return
  const problem = bytes === 0 ? 'the path is empty' : `the path has ${bytes} bytes, at most ${socketPathBytesMax} work`
  throw socketInvalid(path, `${problem}. Choose a shorter path with "socket" in the configuration or --socket.`)
}

/**
 * @returns a connected socket, open in both directions
 * @throws the error of the system, such as `ENOENT` and `ECONNREFUSED`
 */
export function connectSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

/**
 * Listens at `path`. The file is 0600 from the first moment; a folder that is missing is made, 0700.
 *
 * @throws RuntimeError `SOCKET_INVALID`: path too long, somebody listens there, not a socket, no permission, …
 */
export async function listenAt(server: Server, path: string): Promise<void> {
  checkSocketPath(path)
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    await removeStaleSocket(path)
    await listenPrivately(server, path)
  } catch (error) {
    if (error instanceof RuntimeError) throw error
    throw socketInvalid(path, `${(error as Error).message}.`, { cause: error })
  }
}

async function removeStaleSocket(path: string): Promise<void> {
  const file = lstatSync(path, { throwIfNoEntry: false })
  if (file === undefined) return
  if (!file.isSocket()) {
    throw socketInvalid(path, 'a file that is not a socket is there. Remove it, or choose another path.')
  }
  const refusal = await connectSocket(path).then(
    (socket) => void socket.destroy(),
    (error: NodeJS.ErrnoException) => error
  )
  if (refusal?.code === 'ECONNREFUSED') unlinkSync(path)
  else if (refusal === undefined || refusal.code === 'EAGAIN') {
    throw socketInvalid(path, 'somebody listens there already. Stop that supervisor, or choose another path.')
  } else if (refusal.code !== 'ENOENT') throw refusal
}

/** The file is made within the call of `listen`, so nothing else of this process meets the umask. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const umask = process.umask(0o177)
    try {
      server.listen(path, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(umask)
    }
  })
}

function socketInvalid(path: string, problem: string, options?: ErrorOptions): RuntimeError {
  return new RuntimeError('SOCKET_INVALID', `Cannot use the socket ${path}: ${problem}`, { path }, options)
}
