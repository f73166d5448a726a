/** What a hub is asked for on its command line; every mistake is named at once. */
import { parseArgs } from 'node:util';
import { type Refusal, refuse } from '../../agent/codes.ts';
import { type BusAddress, parseBusAddress } from './bus-address.ts';
import { type FaultPlan, parseFaultPlan } from './can-faults.ts';
import { isBusName } from './socketcand-station.ts';

export interface CanHubOptions {
  /** Where cannelloni's stream format is spoken: the project's own ECUs. */
  readonly listen: BusAddress;
  readonly socketcand?: BusAddress;
  readonly slcan: readonly BusAddress[];
  /** Name of the bus for the foreign formats. */
  readonly name: string;
  /** Name of the log's two files. */
  readonly log?: string;
  readonly faults?: FaultPlan;
}

export const usage = `usage: can-hub.ts --listen ADDRESS [options]     ADDRESS: unix:/path or tcp:[host:]port
  --socketcand ADDRESS   text protocol of socketcand (python-can, scapy)
  --slcan ADDRESS        Lawicel's ASCII (slcand, QEMU guests); may be repeated
  --name NAME            name of the bus for them (can0)
  --log NAME             writes NAME.log (candump -L) and NAME.pcap (Wireshark)
  --faults LIST          loss=0.01,duplicate=0,reorder=0,delay=0,corrupt=0,delay-ms=20,seed=1`;

/** Code `argument-invalid`, with every mistake in its detail. */
export function readHubOptions(argv: readonly string[]): CanHubOptions | Refusal {
  const text = { type: 'string' } as const;
  const options = {
    ...{ listen: text, socketcand: text, name: text, log: text, faults: text },
    slcan: { type: 'string', multiple: true },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    values = parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    return refuse('argument-invalid', (error as Error).message);
  }
  const mistakes: string[] = [];
  const address = (name: string, given: string): BusAddress => {
    const parsed = parseBusAddress(given);
    if (parsed === undefined) {
      mistakes.push(`--${name} ${given}: expected unix:/path or tcp:[host:]port`);
    }
    return parsed ?? { path: '' };
  };
  const listen = address('listen', values.listen ?? '');
  const { socketcand, slcan = [], name = 'can0', log } = values;
  if (!isBusName(name)) mistakes.push(`--name ${name}: expected up to 12 letters, digits and _`);
  if (log === '') mistakes.push('--log: expected the name of the files');
  const faults = values.faults === undefined ? undefined : parseFaultPlan(values.faults);
  if (Array.isArray(faults)) mistakes.push(...faults.map((mistake) => `--faults ${mistake}`));
  const read: CanHubOptions = {
    listen,
    slcan: slcan.map((one) => address('slcan', one)),
    name,
    ...(socketcand === undefined ? {} : { socketcand: address('socketcand', socketcand) }),
    ...(log === undefined ? {} : { log }),
    ...(faults === undefined || Array.isArray(faults) ? {} : { faults }),
  };
  return mistakes.length > 0 ? refuse('argument-invalid', mistakes.join('; ')) : read;
}
