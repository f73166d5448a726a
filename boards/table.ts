/** `make boards`: every board of this folder as a table; BOARD= adds one by its path. */
import { boardNames, findBoard } from './find.ts';
import { type Board, BoardError, flashMapOf, loadBoard } from './load.ts';

function bytes(count: number): string {
  return count % 1_048_576 === 0 ? `${count / 1_048_576} MiB` : `${count / 1024} KiB`;
}

function rates({ port, bitRate, dataBitRate, flexibleData }: Board['can']): string {
  const kind = flexibleData ? 'FD' : 'classic';
  if (bitRate === undefined) return `${port} ${kind}`;
  return [`${port} ${kind}`, bitRate, ...(dataBitRate === undefined ? [] : [dataBitRate])].join(
    ' ',
  );
}

/** Columns of one board. */
function row(board: Board): string[] {
  const { engine, flash, can, memory } = board;
  const regions = Object.values(flashMapOf(flash));
  const end = Math.max(...regions.map(({ offset, size }) => offset + size));
  const slot = flash.partitions.find(({ name }) => name === 'slot-a')!;
  const digits = can.extended ? 8 : 3;
  const identifier = (id: number): string => id.toString(16).toUpperCase().padStart(digits, '0');
  return [
    board.name,
    [engine.runtime, ...engine.architectures].join(' '),
    engine.crypto,
    `${bytes(end)}, blocks of ${bytes(flash.blockLength)}`,
    `2 x ${bytes(slot.length)}`,
    board.boot.control,
    rates(can),
    can.ecus.map((ecu) => `${identifier(ecu.requestId)}/${identifier(ecu.responseId)}`).join(' '),
    `${bytes(memory.heapBytes.primary)}, ${bytes(memory.heapBytes.secondary)}`,
  ];
}

const heading = ['board', 'runtime', 'crypto', 'flash', 'slots', 'boot', 'CAN', 'UDS ids', 'heap'];
const extra = process.env['BOARD'];
const rows = [heading];
for (const name of new Set([...boardNames(), ...(extra ? [extra] : [])])) {
  try {
    rows.push(row(loadBoard(findBoard(name))));
  } catch (error) {
    if (!(error instanceof BoardError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
const widths = heading.map((_, i) => Math.max(...rows.map((one) => one[i]!.length)));
for (const one of rows) {
  process.stdout.write(
    `${one
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd()}\n`,
  );
}
