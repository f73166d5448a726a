/** Finding by name in a long list: a vehicle may have a thousand ECUs, and tier 2 has no Map. */

/** Keeps names such as `__proto__` away from what engines treat specially. */
const prefix = '$';

/**
 * Indexes a list once, so that each look-up takes constant time.
 * @param nameOf undefined: the item cannot be found; of two items with one name the first counts
 */
export function byName<T>(
  list: readonly T[],
  nameOf: (item: T) => string | undefined,
): (name: string) => T | undefined {
  const index: Record<string, T> = Object.create(null) as Record<string, T>;
  for (const item of list) {
    const name = nameOf(item);
    if (name !== undefined && !(prefix + name in index)) index[prefix + name] = item;
  }
  return (name) => index[prefix + name];
}
