// Cargo's runner for wasm32-wasip1: `node wasi.mjs TEST.wasm ARGUMENTS…`.
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';
import process from 'node:process';

const [, , program, ...rest] = process.argv;
const wasi = new WASI({
  version: 'preview1',
  args: [program, ...rest],
  env: process.env,
  // Tests read the golden vectors and the models of the workspace.
  preopens: { '/': '/' },
  returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exit(wasi.start(instance));
