/** What an attack of the Standard is made of (Uptane §4.2, §4.3): who attacks, how, what must happen. */
import type { Arena } from './arena.ts';

/** Attackers of §4.2: each has one of these positions, never two. */
export const positions = {
  outside: 'network outside the vehicle',
  inside: 'on the bus inside the vehicle',
  'director-keys': "Director's online keys",
  'image-keys': "Image repository's online keys",
  primary: 'one compromised Primary',
  secondary: 'one compromised Secondary',
} as const;
export type Position = keyof typeof positions;

/** What has to stand in the Director's log afterwards. */
export interface Named {
  /** The ECU that reports it in the next manifest, or the Director where it notices by itself. */
  readonly by: 'primary' | 'full' | 'partial' | 'partial-firmware' | 'director';
  readonly code: string;
  readonly row: string;
}

/** One attack from one position. */
export interface Variant {
  readonly position: Position;
  /** What the attacker does, as a half sentence. */
  readonly does: string;
  /** Absent where there is nothing to see: who only listens leaves no trace. */
  readonly named?: Named;
  /** Takes its time: left out of the short run. */
  readonly slow?: true;
  /** An update has to be pending for the attack to meet it. */
  readonly needsUpdate?: true;
  /** Runs in a healthy vehicle: what has to be recorded, or to have happened, before. */
  prepare?(arena: Arena): Promise<void>;
  /** Attacks. Throws when the attacker got what must not be had. */
  attack(arena: Arena): Promise<void> | void;
  /** After it was named and the attacker is gone: whatever brings the vehicle back. */
  recover?(arena: Arena): Promise<void>;
  /** What happened, for the table; "refused" when absent. */
  readonly outcome?: string;
}

/** One of the fourteen attacks (docs/conformance.md, rows ATK-01 … ATK-14). */
export interface StandardAttack {
  readonly id: string;
  readonly name: string;
  /** The first that is not slow stands for the attack in the short run. */
  readonly variants: readonly Variant[];
  /** Every other position of §4.2, with the reason why there is nothing to show from it. */
  readonly elsewhere: Readonly<Partial<Record<Position, string>>>;
}
