/** Filename patterns of delegations (Uptane §5.2.3.2): `*` matches any run of characters. */

/**
 * True when the whole of `text` matches `pattern`. Takes time in proportion to the product of both
 * lengths at worst: on a mismatch only the latest `*` is tried again, one character further on.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (p < pattern.length && pattern.charAt(p) === '*') {
      star = p;
      resume = t;
      p += 1;
    } else if (p < pattern.length && pattern.charAt(p) === text.charAt(t)) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      resume += 1;
      t = resume;
      p = star + 1;
    } else {
      return false;
    }
  }
  while (p < pattern.length && pattern.charAt(p) === '*') p += 1;
  return p === pattern.length;
}
