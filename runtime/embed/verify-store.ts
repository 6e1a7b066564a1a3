/** What `runtime verify` needs of the store. */
export { type StoreReport, verifyStore } from '../supervisor/verify-store.ts'
