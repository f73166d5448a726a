/** File names of key-value entries (docs/SPEC.md §6): no key can name a path. */

/** Below the 255 bytes that file systems allow, with room for suffixes. */
const maxNameCharacters = 240;

/** Lower-case letters, digits and `-` stay; any other printable ASCII character becomes `_xx`. */
export function valueFileName(key: string): string {
  let name = '';
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    const kept = (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code === 45;
    if (code < 0x20 || code > 0x7e) throw new RangeError('key: expected printable ASCII');
    name += kept ? key.charAt(i) : `_${code.toString(16)}`;
  }
  if (name.length === 0 || name.length > maxNameCharacters) {
    throw new RangeError(`key: expected 1 to ${maxNameCharacters} escaped characters`);
  }
  return name;
}
