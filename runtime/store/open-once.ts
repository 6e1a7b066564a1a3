/** Program: opens the files of a store, and closes them; see lmdb-engine.ts. Argument: the folder. */
import { open } from 'lmdb'

const [path = ''] = process.argv.slice(2)
await open({ path, noSubdir: false, readOnly: true }).close()
