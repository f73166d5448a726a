/** Addresses of an emulated bus: `unix:/path` or `tcp:[host:]port` (host: 127.0.0.1). */

export type BusAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number };

/** Parses an address; undefined when it is none. */
export function parseBusAddress(text: string): BusAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice(5);
    // sun_path holds 108 bytes with its final zero; longer paths would be cut silently.
    return path.length > 0 && Buffer.byteLength(path) <= 107 ? { path } : undefined;
  }
  const match = /^tcp:(?:([A-Za-z0-9.-]+):)?([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) return undefined;
  return { host: match[1] ?? '127.0.0.1', port };
}

/** The text form of an address. */
export function formatBusAddress(address: BusAddress): string {
  return 'path' in address ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`;
}
