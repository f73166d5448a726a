/** An attack on the demonstration's vehicle: what the attacker does to what passes the wire. */
import type { Operator } from '../operator.ts';
import type { Exchange, Intercepted } from './attacker-proxy.ts';

/** What an attacker has in hand. */
export interface Battlefield {
  readonly vehicleId: string;
  readonly operator: Operator;
  /** Keys folder of the ceremony; attackers with online keys read only `keys/online`. */
  readonly keysFolder: string;
  readonly passphrase: string;
  readonly directorUrl: string;
  /** Resolves when the vehicle has ended `count` more cycles without a refusal. */
  readonly healthyCycles: (count: number) => Promise<void>;
}

export interface Attack {
  readonly name: string;
  /** Position of the attacker, in the Standard's words (§4.2). */
  readonly position: string;
  /** Settings of the backend under which the attack shows quickly. */
  readonly backend?: Readonly<Record<string, string>>;
  /** Before the update is published: what has to be recorded, or made to happen, first. */
  prepare?(battlefield: Battlefield): Promise<void>;
  /** Sees every request of the vehicle; undefined passes it on unchanged. */
  intercept(exchange: Exchange): Promise<Intercepted | undefined>;
}
