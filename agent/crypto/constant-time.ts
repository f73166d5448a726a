/** Comparison of secrets: the time taken tells nothing about where two values differ. */

/**
 * True when both secrets hold the same bytes.
 * @param a secret of any length; lengths are public
 * @param b secret of any length
 */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
