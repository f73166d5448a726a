/** The operator of the demonstration: the `ota` command line, and what the operator plane tells. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isRefusal } from '../../agent/codes.ts';
import { OperatorClient } from '../cli/operator-client.ts';
import {
  type ManifestRecord,
  manifestHistory,
  type VehicleView,
  vehicleView,
} from '../http/messages.ts';

const program = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const run = promisify(execFile);

export class Operator {
  private readonly environment: Readonly<Record<string, string>>;
  private readonly client: OperatorClient;

  /** @param environment OTA_URL, OTA_OPERATOR_TOKEN, OTA_KEYS and OTA_PASSPHRASE */
  constructor(environment: Readonly<Record<string, string>>) {
    this.environment = environment;
    this.client = new OperatorClient(
      new URL(environment['OTA_URL']!),
      environment['OTA_OPERATOR_TOKEN']!,
    );
  }

  /**
   * Holds the key ceremony, before there is a backend.
   * @param secrets OTA_KEYS, the folder that gets the keys, OTA_OPERATOR_TOKEN and OTA_PASSPHRASE
   */
  static async holdCeremony(secrets: Readonly<Record<string, string>>): Promise<void> {
    const operator = new Operator({ ...secrets, OTA_URL: 'http://127.0.0.1:1' });
    await operator.ota('ceremony', '--out', secrets['OTA_KEYS']!);
  }

  /** Runs `ota …`; returns what it printed. Rejects with its error output when it fails. */
  async ota(...words: string[]): Promise<string> {
    const given = ['--disable-warning=ExperimentalWarning', program, ...words];
    try {
      const { stdout } = await run(process.execPath, given, {
        env: { ...process.env, ...this.environment },
        maxBuffer: 16_777_216,
      });
      return stdout;
    } catch (error) {
      const { stderr } = error as { stderr?: string };
      throw new Error(`ota ${words.join(' ')}: ${stderr?.trim() || String(error)}`);
    }
  }

  /** The vehicle as the Director knows it; undefined before it has registered. */
  async vehicle(vehicleId: string): Promise<VehicleView | undefined> {
    const view = await this.client.get(`/vehicles/${vehicleId}`, vehicleView);
    if (!isRefusal(view)) return view;
    if (view.refused === 'vehicle-unknown') return undefined;
    throw new Error(`${view.refused}: ${view.detail}`);
  }

  /** Accepted manifests, oldest first. */
  async manifests(vehicleId: string): Promise<readonly ManifestRecord[]> {
    const history = await this.client.get(`/vehicles/${vehicleId}/manifests`, manifestHistory);
    if (isRefusal(history)) throw new Error(`${history.refused}: ${history.detail}`);
    return history;
  }
}
