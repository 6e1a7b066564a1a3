/** What `runtime verify` needs of the store. */
export { type StoreFinding, type StoreReport, verifyDirectory } from '../store/verify-directory.ts'
