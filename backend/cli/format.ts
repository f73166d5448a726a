/** How values are written for a person. */

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** The first 12 hexadecimal digits: enough to compare by eye, never to decide by. */
export function shortHex(bytes: Uint8Array): string {
  return `${hex(bytes.subarray(0, 6))}…`;
}

/** Unix seconds as UTC. */
export function time(seconds: number): string {
  // Years past 275760 are valid unix seconds, but no Date.
  const date = new Date(seconds * 1_000);
  return Number.isNaN(date.getTime())
    ? `second ${seconds}`
    : date.toISOString().replace('.000Z', 'Z').replace('T', ' ');
}

/** Rows in aligned columns; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
