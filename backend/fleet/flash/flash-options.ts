/** What `make flash` was asked for, from the environment; every mistake is named at once. */
import { resolve } from 'node:path';
import { type Refusal, refuse } from '../../../agent/codes.ts';
import type { Endpoint } from '../../../agent/metadata/repository-map.ts';
import { defaultKeysFolder, defaultUrl } from '../../cli/settings.ts';
import { defaultServerName } from '../../settings.ts';
import { type AgentName, agentNames, board, canPort } from '../vehicle-layout.ts';

export interface FlashOptions {
  /** `user@address` or a name of the ssh configuration. */
  readonly host: string;
  /** Arguments for ssh before the host. */
  readonly ssh: readonly string[];
  /** Folder of the host below which everything goes; `/` is the running system. */
  readonly root: string;
  readonly ecu: AgentName;
  readonly vehicleId: string;
  readonly canInterface: string;
  /** Replace an ECU's keys and state. */
  readonly reprovision: boolean;
  readonly dryRun: boolean;
  /** Release that the programs are built as; what came over the air later goes on running. */
  readonly runtimeRelease: number;
  /** Where the machine's loader starts the programs: the file that slot A of the board holds. */
  readonly runtimeImage: string | undefined;
  /** The repositories as the board and this machine reach them. */
  readonly director: Endpoint;
  readonly images: Endpoint;
  /** The broker that rings; polling alone when absent. */
  readonly doorbell: Endpoint | undefined;
  /** Mutual TLS with them, where the board's programs have it. */
  readonly tls: boolean;
  readonly keysFolder: string;
  readonly operatorUrl: string;
  readonly operatorToken: string;
  /** Where vehicles lie between their making and their way to the boards. */
  readonly vehiclesFolder: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Code `argument-invalid`, with every mistake in its detail. */
export function readFlashOptions(environment: Environment): FlashOptions | Refusal {
  const mistakes: string[] = [];
  const matching = (name: string, fallback: string, pattern: RegExp, what: string): string => {
    const value = environment[name] || fallback;
    if (!pattern.test(value)) mistakes.push(`${name}=${value}: expected ${what}`);
    return value;
  };
  const flag = (name: string): boolean => matching(name, '0', /^[01]$/, '1, or 0 for not') === '1';
  const tls = matching('OTA_DEVICE_TLS', 'on', /^(on|off)$/, 'on, off') === 'on';
  const endpoint = (name: string, fallback: string): Endpoint => {
    const text = matching(name, fallback, /^[a-z0-9.-]+:\d{1,5}$/i, 'HOST:PORT');
    const colon = text.lastIndexOf(':');
    const named = tls
      ? { serverName: environment['OTA_DEVICE_TLS_NAME'] || defaultServerName }
      : {};
    return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)), ...named };
  };
  if (board.engine.runtime !== 'quickjs') {
    mistakes.push(`BOARD=${board.name} runs on this machine: make demo BOARD=${board.name}`);
  }
  // No word that begins with '-' reaches ssh: it would be an option.
  const host = matching('HOST', '', /^[a-z0-9_][a-z0-9_.@:-]*$/i, 'user@address');
  const port = matching('SSH_PORT', '', /^\d{0,5}$/, 'a port');
  const { SSH_IDENTITY: identity, SSH_CONFIG: config } = environment;
  const names = agentNames.join(', ');
  const ecu = matching('ECU', 'primary', new RegExp(`^(${agentNames.join('|')})$`), names);
  const { RUNTIME_IMAGE: image } = environment;
  if (board.boot.control !== 'file' && !image) {
    mistakes.push(
      `RUNTIME_IMAGE=: expected the file that ${board.boot.files[0]} of the board holds`,
    );
  }
  const options: FlashOptions = {
    host,
    ssh: [
      ...(config ? ['-F', resolve(config)] : []),
      ...(port ? ['-p', port] : []),
      ...(identity ? ['-i', resolve(identity), '-o', 'IdentitiesOnly=yes'] : []),
      // Nobody is there to be asked, and a board that is off shall not take minutes.
      ...['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10'],
    ],
    root: matching('TARGET_ROOT', '/', /^\/[\w./+-]*$/, 'an absolute path without spaces'),
    ecu: ecu as AgentName,
    vehicleId: matching('VEHICLE', 'my-car-1', /^[a-z0-9][a-z0-9-]{0,31}$/, "a-z, 0-9 and '-'"),
    canInterface: matching('CAN', canPort, /^[a-z0-9][a-z0-9-]{0,14}$/, 'an interface'),
    reprovision: flag('REPROVISION'),
    dryRun: flag('DRY_RUN'),
    runtimeImage: image ? resolve(image) : undefined,
    runtimeRelease: Number(matching('RUNTIME_RELEASE', '1', /^[1-9]\d{0,8}$/, '1 or more')),
    director: endpoint('DIRECTOR', '127.0.0.1:8000'),
    images: endpoint('IMAGES', '127.0.0.1:8001'),
    doorbell: environment['DOORBELL'] ? endpoint('DOORBELL', '') : undefined,
    tls,
    keysFolder: resolve(environment['OTA_KEYS'] || defaultKeysFolder),
    operatorUrl: environment['OTA_URL'] || defaultUrl,
    operatorToken: environment['OTA_OPERATOR_TOKEN'] || '',
    vehiclesFolder: resolve(environment['VEHICLES_FOLDER'] || 'out/vehicles'),
  };
  return mistakes.length > 0 ? refuse('argument-invalid', mistakes.join('; ')) : options;
}
