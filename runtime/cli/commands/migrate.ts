import type { ClientSession } from '../client-session.ts'
import { counted } from '../text/counted.ts'
import { oneLine } from '../text/printable.ts'

/** `runtime migrate [--dry-run]`; `--json`: the answer of `schedule.migrate`. */
export async function migrate(
  { runtime, output }: ClientSession,
  { dryRun = false }: { dryRun?: boolean }
): Promise<void> {
  const migration = await runtime.schedule.migrate({ dryRun })
  const { added, changed, removed, unchanged } = migration
  output.answer(migration, () => {
    const lists = Object.entries({ added, changed, removed }).flatMap(([what, ids]) =>
      ids.map((id) => `${what.padEnd('removed'.length)}  ${oneLine(id)}`)
    )
    const count = counted(added.length + changed.length + removed.length, 'change')
    return [...lists, `${count}${dryRun ? ' would be made' : ''}, ${unchanged} unchanged.`].join('\n')
  })
}
