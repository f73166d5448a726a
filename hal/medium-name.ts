const isLetter = (code: number) => code >= 0x61 && code <= 0x7a;
const isSign = (code: number) =>
  isLetter(code | 0x20) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f;
const dot = 0x2e;

/**
 * True for a name of a file on a medium, `director/2.root.cbor`: one folder and one file, neither
 * hidden nor a path (HRD-10).
 */
export function isMediumName(name: string): boolean {
  const slash = name.indexOf('/');
  const file = name.slice(slash + 1);
  if (slash < 1 || slash > 16 || file.length < 1 || file.length > 251) return false;
  for (let i = 0; i < slash; i++) {
    if (!isLetter(name.charCodeAt(i))) return false;
  }
  for (let i = 0; i < file.length; i++) {
    const code = file.charCodeAt(i);
    const first = isSign(code) && code !== 0x2d && code !== 0x5f;
    if (!(i === 0 ? first : isSign(code) || code === dot)) return false;
  }
  return true;
}
