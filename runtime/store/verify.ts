/**
 * Child process: looks through a data file and sends one {@link Verification}, before it now and then a `Progress`.
 * Arguments: folder of the store; milliseconds after which it stops reading, 0 for never; `live` where a supervisor may be writing.
 */
import { type Verification, verifyStore } from './verification.ts'

const [folder = '', timeMs = '0', mode] = process.argv.slice(2)
const verification: Verification = verifyStore(folder, Number(timeMs), mode === 'live')
process.send?.(verification)
