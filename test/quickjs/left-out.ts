/**
 * Unit tests that do not run inside QuickJS, by the beginning of their paths, each with its reason.
 * Those that need sockets or other processes are found by what they import.
 */
export const leftOut: Readonly<Record<string, string>> = {
  'unit/admission/': 'the backend runs on Node only',
  'unit/backend/': 'the backend runs on Node only',
  'unit/boards/': 'the build runs on Node only',
  'unit/checks/': 'the checks of the sources run on Node only',
  'unit/can/bus-time.test.ts': 'is about simulated time, which the engine does not change',
  'unit/can/lossy-bus.test.ts': '45 updates over a bus take a minute interpreted',
  'unit/cli/': 'the command line runs on Node only',
  'unit/conformance/': 'the documents are made on Node only',
  'unit/emulated/flash.test.ts': 'reads and writes open files in place',
  'unit/fleet/': 'the demonstration runs on Node only',
  'unit/fuzz/': "counts branches by V8's coverage",
  'unit/install/overlapping-cuts.test.ts': 'thousands of power cuts take minutes interpreted',
  'unit/install/power-cut.test.ts': 'thousands of power cuts take minutes interpreted',
  'unit/net/doorbell-client.test.ts': 'the peer, mqtt-packet, is made of Node streams',
  'unit/net/mqtt-packets.test.ts': 'the peer, mqtt-packet, is made of Node streams',
  'unit/primary/two-phase.test.ts':
    'whole bundles, again and again, take half a minute interpreted',
  'unit/runner/': 'the runner of the tests runs on Node only',
  'unit/size/': 'the figures are measured on Node only',
  'unit/signer/': 'the signer of the backend runs on Node only',
  'unit/verify/simulator.test.ts': 'is about files as the command line reads them',
};
