/** Program that looks through a store, for store/verify-in-child.ts. */
export const verifier = new URL('./verify.js', import.meta.url)
