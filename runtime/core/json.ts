/** What JSON can say. Everything that crosses a thread, the socket or the disk is of this form. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
