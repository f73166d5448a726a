/**
 * Whether an exception says that the heap is used up, and nothing about what was tried: it then goes
 * on to the platform, which ends the program (code `heap-exhausted`), and is never taken for damaged
 * flash. Small engines throw `out of memory`, or have too little left for the text, or for an error.
 */
export function isOutOfMemory(error: unknown): boolean {
  if (error === null || error === undefined) return true;
  const { message } = error as { readonly message?: unknown };
  return message === undefined || message === '' || message === 'out of memory';
}
