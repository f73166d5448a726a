/**
 * One TLS connection of an ECU as a test describes it, by whatever implements hal.net; runs inside
 * QuickJS, too. Sends a message and reads the echo until as many bytes came back.
 */
import type { Net, SocketError, TlsOptions, TlsStatus } from '../../hal/types.ts';
import { fromHex, toHex } from './hexadecimal.ts';

/** What a JSON text can carry of `TlsOptions`: bytes are hexadecimal. */
export interface Attempt {
  readonly port: number;
  readonly serverName: string;
  readonly trustAnchors: readonly string[];
  readonly chain?: readonly string[];
  readonly privateKey?: string;
  readonly seconds: number;
  readonly attested: boolean;
  /** Number of an earlier attempt whose session is resumed. */
  readonly resume?: number;
  /** Length of the message. */
  readonly bytes: number;
}

export interface Outcome {
  readonly connected: boolean;
  /** Bytes received, which were those of the message as far as they go. */
  readonly echoed: number;
  /** What was received, when it was not the message. */
  readonly text: string;
  /** Why it failed; `network` for a failure that is not TLS's. */
  readonly refused?: string;
  /** For a person. */
  readonly detail?: string;
  readonly resumed?: boolean;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly session?: string;
}

function optionsOf(given: Attempt, outcomes: readonly Outcome[]): TlsOptions {
  const { chain, privateKey, seconds, attested, resume } = given;
  const earlier = resume === undefined ? undefined : outcomes[resume]!;
  return {
    serverName: given.serverName,
    trustAnchors: given.trustAnchors.map(fromHex),
    ...(chain && { identity: { chain: chain.map(fromHex), privateKey: fromHex(privateKey!) } }),
    time: { seconds, attested },
    ...(earlier && {
      resume: {
        resumed: earlier.resumed!,
        notBefore: earlier.notBefore!,
        notAfter: earlier.notAfter!,
        session: earlier.session === undefined ? undefined : fromHex(earlier.session),
      },
    }),
  };
}

/**
 * Connects, sends the message, and reads until as much came back or the server ends.
 * @param done called once, after the connection is closed
 */
export function attempt(
  net: Net,
  given: Attempt,
  outcomes: readonly Outcome[],
  done: (outcome: Outcome) => void,
): void {
  const message = new Uint8Array(given.bytes);
  for (let i = 0; i < message.length; i++) message[i] = (i * 7) % 251;
  const buffer = new Uint8Array(1000);
  let sent = 0;
  let echoed = 0;
  let text = '';
  let connected = false;
  let over = false;
  const finish = (failure: Pick<Outcome, 'refused' | 'detail'> = {}) => {
    if (over) return;
    over = true;
    const { session, ...status }: Partial<TlsStatus> = socket.tls ?? {};
    socket.close();
    done({
      connected,
      echoed,
      text,
      ...failure,
      ...status,
      ...(session && { session: toHex(session) }),
    });
  };
  const send = () => {
    while (!over && sent < message.length) {
      const count = socket.write(message.subarray(sent));
      if (count === 0) return;
      sent += count;
    }
  };
  const receive = () => {
    for (let count = socket.read(buffer); count > 0; count = socket.read(buffer)) {
      for (let i = 0; i < count; i++) {
        if (buffer[i] === message[echoed]) echoed++;
        else if (text.length < 100) text += String.fromCharCode(buffer[i]!);
      }
    }
    if (message.length > 0 && echoed === message.length) finish();
  };
  const socket = net.connect({
    host: '127.0.0.1',
    port: given.port,
    tls: optionsOf(given, outcomes),
    onConnect: () => {
      connected = true;
      send();
    },
    onReadable: receive,
    onWritable: send,
    onEnd: () => {
      receive();
      finish();
    },
    onError: (error: SocketError) =>
      finish({ refused: error.refused ?? 'network', detail: error.message }),
  });
}
