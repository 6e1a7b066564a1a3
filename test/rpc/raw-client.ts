import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { RpcServer, type RpcServerOptions } from '../../runtime/rpc/server.ts'
import { connectSocket } from '../../runtime/rpc/socket-path.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { fakeService } from './fake-service.ts'

/** A started server on a socket of its own, stopped when the test ends. A defect that is not expected fails the test. */
export async function startServer(test: TestContext, options: Partial<RpcServerOptions> = {}) {
  const socketPath = join(temporaryFolder(test), 's')
  const server = new RpcServer({
    service: fakeService(),
    socketPath,
    onInternalError: (error) => {
      throw error
    },
    ...options
  })
  await server.start()
  test.after(() => server.stop())
  return { server, socketPath, client: () => RawClient.connect(test, socketPath) }
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Message = any

/** A client that sends bytes as they are and reads one JSON value per line. */
export class RawClient {
  readonly socket: Socket
  readonly #messages: Message[] = []
  #rest = ''
  #ended = false
  #wake = () => {}

  static async connect(test: TestContext, socketPath: string): Promise<RawClient> {
    const client = new RawClient(await connectSocket(socketPath))
    test.after(() => client.socket.destroy())
    return client
  }

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      this.#messages.push(...lines.map((line) => JSON.parse(line)))
      this.#wake()
    })
    socket.on('error', () => undefined)
    for (const end of ['end', 'close']) {
      socket.on(end, () => {
        this.#ended = true
        this.#wake()
      })
    }
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Sends one message. */
  send(message: unknown): void {
    this.write(`${JSON.stringify(message)}\n`)
  }

  /** @returns the next message; undefined once the server has ended the connection */
  async next(): Promise<Message> {
    while (this.#messages.length === 0) {
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#messages.shift()
  }

  /** Sends one request and reads the next message. */
  async ask(method: string, params?: unknown, id: unknown = 1): Promise<Message> {
    this.send({ jsonrpc: '2.0', id, method, params })
    return this.next()
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close')
  }
}
