/** Asks PostgreSQL whether anything is left: libraries that complete in batches tell of a job before its batch is stored. */
import { setTimeout as sleep } from 'node:timers/promises'
import { importPeer } from '../peer-packages.ts'
import type { Server } from '../server.ts'

interface Pg {
  default: {
    Pool: new (options: {
      connectionString: string
      max: number
    }) => {
      query(text: string): Promise<{ rows: Record<string, unknown>[] }>
      end(): Promise<void>
    }
  }
}

const pollMs = 2

export function connectionString({ host, port }: Server): string {
  return `postgres://bench@${host}:${port}/postgres`
}

export async function rowsOf(server: Server) {
  const { Pool } = (await importPeer<Pg>('pg')).default
  const pool = new Pool({ connectionString: connectionString(server), max: 1 })
  return {
    /** @param text a query whose rows are what is left, at most one */
    async untilNone(text: string): Promise<void> {
      while ((await pool.query(text)).rows.length > 0) await sleep(pollMs)
    },
    close: () => pool.end()
  }
}
