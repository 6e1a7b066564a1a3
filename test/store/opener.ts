/** Child process: opens the files of a store to read them, and closes them, so many times. */
import { LmdbEngine } from '../../runtime/store/lmdb-engine.ts'

const [path = '', times = '0'] = process.argv.slice(2)
for (let time = 0; time < Number(times); time++) await new LmdbEngine(path, { readOnly: true }).close()
