/**
 * `make wear`: what one update of three chunks costs the flash, by ECU and part: erasures of blocks
 * and programmed bytes in each partition, from the first metadata to the report.
 */
import { type PartKind, parts, type Role, roles } from './geometries.ts';
import { createScenario } from './scenario.ts';
import { trace } from './trace.ts';

export interface Wear {
  /** Blocks erased. */
  erasures: number;
  /** Program operations, and bytes. */
  writes: number;
  bytes: number;
}

/** Wear of one update, by partition. */
export async function wearOfUpdate(role: Role, part: PartKind): Promise<Record<string, Wear>> {
  const wear: Record<string, Wear> = {};
  for (const { operation, partition } of await trace(await createScenario(role, part, 'update'))) {
    wear[partition] ??= { erasures: 0, writes: 0, bytes: 0 };
    const one = wear[partition];
    const { length } = operation.after;
    if (operation.kind === 'erase') one.erasures += length / part.blockLength;
    else {
      one.writes += 1;
      one.bytes += length;
    }
  }
  return wear;
}

if (import.meta.main) {
  console.log('| ECU | part | partition | blocks erased | writes | bytes |');
  console.log('| --- | --- | --- | --: | --: | --: |');
  for (const role of roles) {
    for (const part of parts) {
      for (const [name, wear] of Object.entries(await wearOfUpdate(role, part))) {
        const { erasures, writes, bytes } = wear;
        console.log(`| ${role} | ${part.name} | ${name} | ${erasures} | ${writes} | ${bytes} |`);
      }
    }
  }
}
