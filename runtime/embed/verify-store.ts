/** What `runtime verify` needs of the store. */
export { type VerifyReport, verifyStore } from '../supervisor/verify-store.ts'
