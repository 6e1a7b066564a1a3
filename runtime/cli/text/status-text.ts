import type { StatusView } from '../../core/api.ts'
import { counted } from './counted.ts'
import { type Look, styled } from './look.ts'
import { formatQueues } from './queue-text.ts'
import { formatPairs } from './table.ts'
import { formatSpan } from './time.ts'

/** `status`: the supervisor, then its queues. */
export function formatStatus(look: Look, status: StatusView): string {
  const pairs = formatPairs(look, [
    ['state', styled(look, status.state === 'running' ? 'green' : 'red', status.state)],
    ['version', `${status.version} on Node ${status.node}`],
    ['pid', String(status.pid)],
    ['up', `${formatSpan(status.uptimeMs)}, since ${status.startedAt}`],
    ['socket', status.socket ?? 'none'],
    ['data', status.dataDir],
    ['store', storeText(status.store)],
    ['memory', formatBytes(status.memory.residentBytes)]
  ])
  return `${pairs}\n\n${formatQueues(look, status.queues)}`
}

/** `1.5 MiB, 1.2 MiB of it used, 10 GiB at most, format 1` */
function storeText({ bytes, usedBytes, bytesMax, format, setAside }: StatusView['store']): string {
  const bound = bytesMax === null ? '' : `, ${formatBytes(bytesMax)} at most`
  return `${formatBytes(bytes)}, ${formatBytes(usedBytes)} of it used${bound}, format ${format}${setAside === 0 ? '' : `, ${counted(setAside, 'damaged record')} set aside`}`
}

/** `1.5 MiB` */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1)
  const amount = bytes / 1024 ** power
  return `${amount >= 100 || power === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`
}
