/**
 * An emulated ECU (hal/emulated/ecu.ts) whose program runs in quickjs-emscripten instead of Node's own
 * engine: `node test/quickjs/wasm-ecu.ts DESCRIPTION.json [--watchdog]`. No compiler is needed.
 */
import * as engine from '@jitl/quickjs-ng-wasmfile-release-sync';
import { newQuickJSWASMModuleFromVariant, type QuickJSSyncVariant } from 'quickjs-emscripten-core';
import { runEcuProcess } from '../../hal/emulated/ecu.ts';
import { WasmBridge } from './wasm-bridge.ts';

const quickJs = await newQuickJSWASMModuleFromVariant(
  // Its types are those of a CommonJS module.
  engine.default as unknown as QuickJSSyncVariant,
);

runEcuProcess((program, hal) => {
  const context = quickJs.newContext();
  const bridge = new WasmBridge(context);
  bridge.evaluate(new TextDecoder('utf-8', { fatal: true }).decode(program), 'slot').dispose();
  const start = bridge.take(bridge.evaluate('(hal) => agent.start(hal)')) as (hal: unknown) => void;
  hal.board.log(`engine=quickjs-ng-wasm`);
  start(hal);
});
