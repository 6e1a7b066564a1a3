/**
 * The socket server: JSON-RPC 2.0 on a Unix socket, as PROTOCOL.md describes it. It translates and decides nothing: what a
 * method does is the service's affair.
 *
 * `start` → `quiet` → `stop`. Quiet: no new connections, and the socket file is gone; those that are open are served as
 * before. Stopped: answers that are owed have been sent, within a second, and every connection is closed.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Service } from '../core/api.ts'
import { turnMsMax } from '../core/limits.ts'
import { type Bounds, boundsDefault } from './bounds.ts'
import { ClientMemory } from './client-memory.ts'
import { Connection, type ConnectionContext } from './connection.ts'
import { connectionsWithin, openFilesMax } from './open-files.ts'
import { tooManyConnections } from './refusals.ts'
import { listenAt } from './socket-path.ts'
import { Turns } from './turns.ts'

/** Connections over the bound that may be open for the moment it takes to tell them so; more are closed without a word. */
const refusedConnectionsMin = 16
const refusedConnectionsMax = 100

export interface RpcServerOptions {
  service: Service
  /** At most 107 bytes. */
  socketPath: string
  /** Default: the limits of `core/limits.ts`. */
  bounds?: Partial<Bounds>
  /**
   * Told of whatever is thrown that is not an operating error, and by which method; `accept`: by the listener. The client
   * only learns that there was a defect.
   */
  onInternalError(error: unknown, method: string): void
}

export class RpcServer {
  readonly #socketPath: string
  readonly #context: ConnectionContext
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  /** Connections without those over the bound, which are open while they are told so. */
  #served = 0
  #started: Promise<void> | undefined
  #quieted: Promise<void> | undefined

  constructor({ service, socketPath, bounds, onInternalError }: RpcServerOptions) {
    this.#socketPath = socketPath
    const all = { ...boundsDefault, ...bounds }
    const connectionsMax = connectionsWithin(openFilesMax(), all.connectionsMax)
    this.#context = {
      service,
      bounds: { ...all, connectionsMax },
      onInternalError,
      turns: new Turns(turnMsMax),
      memory: new ClientMemory(all.clientBytesMax),
      load: { requestsInFlight: 0 }
    }
    // A client that ends its side still gets its answers.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    const refusedMax = Math.min(Math.max(Math.ceil(connectionsMax / 4), refusedConnectionsMin), refusedConnectionsMax)
    this.#server.maxConnections = connectionsMax + refusedMax
  }

  /**
   * Resolves when clients can connect. Safe to call twice.
   *
   * @throws RuntimeError `SOCKET_INVALID`: path too long, somebody listens there, not a socket, no permission
   */
  start(): Promise<void> {
    this.#started ??= this.#listen()
    return this.#started
  }

  /** Takes no new connections and removes the socket file. Open connections are served as before. Safe to call twice. */
  quiet(): Promise<void> {
    this.#quieted ??= this.#closeListener()
    return this.#quieted
  }

  /** Sends the answers that are owed, within a second, and closes every connection. Safe to call twice. */
  async stop(): Promise<void> {
    await this.quiet()
    await Promise.all([...this.#connections].map((connection) => connection.stop()))
  }

  async #listen(): Promise<void> {
    await listenAt(this.#server, this.#socketPath)
    this.#server.on('error', (error) => this.#context.onInternalError(error, 'accept'))
  }

  async #closeListener(): Promise<void> {
    await this.#started?.catch(() => undefined)
    // Its callback waits for the connections to end; the listener itself and its file are gone when it returns.
    this.#server.close()
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, this.#context)
    this.#connections.add(connection)
    connection.closed.then(() => this.#connections.delete(connection))
    const { connectionsMax } = this.#context.bounds
    if (this.#served >= connectionsMax) {
      connection.refuse(tooManyConnections(connectionsMax))
      return
    }
    this.#served += 1
    connection.closed.then(() => {
      this.#served -= 1
    })
  }
}
