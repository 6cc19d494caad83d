/**
 * Takes away from a host's strategies what would make them differ from run to run, or reach what is not theirs: clocks,
 * randomness, network, files, and the means to change the built-ins that the simulation runs on.
 */

import * as exponentials from './portable_math.ts'
import * as trigonometry from './portable_trigonometry.ts'

const ADVICE = 'strategies are deterministic: use ctx.ts for the time and ctx.random() for chance'

/** Globals that throw when they are touched. */
const FORBIDDEN = [
  ...[
    'process',
    'Deno',
    'require',
    'module',
    'Buffer',
    'global',

    'performance',
    'crypto',
    'Crypto',
    'CryptoKey',
  ],
  ...[
    'fetch',
    'WebSocket',
    'WebSocketStream',
    'EventSource',
    'XMLHttpRequest',
    'Request',
    'Response',
    'Headers',
    'FormData',
  ],
  ...['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'queueMicrotask'],
  ...['Worker', 'SharedWorker', 'BroadcastChannel', 'MessageChannel', 'MessagePort', 'EventTarget', 'AbortSignal'],
  ...[
    'SharedArrayBuffer',
    'Atomics',
    'WebAssembly',
    'WeakRef',
    'FinalizationRegistry',
    'localStorage',
    'sessionStorage',
  ],
  ...['caches', 'indexedDB', 'Temporal', 'alert', 'confirm', 'prompt', 'close', 'Intl'],
]

/** `console` lines of one host that reach the log. */
const CONSOLE_LINES = 200
const CONSOLE_LENGTH = 500

export interface Walls {
  /** Writes a line to the log. */
  say: (line: string) => void
  /** Nothing can be left on `globalThis` for the next run. Deno itself adds to it when it ends. */
  sealGlobal: boolean
}

/** Call it once, before any strategy is loaded; it cannot be undone. */
export function raiseWalls({ say, sealGlobal }: Walls): void {
  replaceConsole(say)
  replaceDate()
  forbid(Math, 'random')
  replaceMath()
  // Libraries look whether it is there, so it goes instead of throwing.
  Reflect.deleteProperty(globalThis, 'navigator')
  for (const name of FORBIDDEN) forbid(globalThis, name)
  freezeBuiltIns()
  if (sealGlobal) Object.preventExtensions(globalThis)
}

function forbid(object: object, name: string): void {
  const refuse = (): never => {
    throw new Error(`${object === Math ? `Math.${name}` : name} is not there: ${ADVICE}`)
  }
  // Looking at some globals first would load what is behind them.
  Reflect.deleteProperty(object, name)
  const value = object === Math ? refuse : refusal(refuse)
  Object.defineProperty(object, name, { value, writable: false, configurable: false, enumerable: false })
}

/** Calls, `new` and members of what is not there all throw. */
function refusal(refuse: () => never): unknown {
  const hidden = (property: string | symbol): boolean => typeof property === 'symbol'
  return new Proxy(refuse, {
    apply: refuse,
    construct: refuse,
    get: (_, property) => (hidden(property) ? undefined : refuse()),
    set: refuse,
    has: refuse,
    ownKeys: refuse,
    getOwnPropertyDescriptor: refuse,
    defineProperty: refuse,
    getPrototypeOf: () => null,
  })
}

/** A date of a given moment is arithmetic; the present moment is not for strategies. */
function replaceDate(): void {
  const Real = Date
  const now = (): never => {
    throw new Error(`the present moment is not there: ${ADVICE}`)
  }
  const Fixed = new Proxy(Real, {
    apply: now,
    construct: (target, args, newTarget) => (args.length === 0 ? now() : Reflect.construct(target, args, newTarget)),
  })
  Object.defineProperty(Real, 'now', { value: now, writable: false, configurable: false })
  Object.defineProperty(Real.prototype, 'constructor', { value: Fixed, writable: false, configurable: false })
  Object.defineProperty(globalThis, 'Date', { value: Fixed, writable: false, configurable: false, enumerable: false })
}

/** Those of Math's functions whose last bits engines give differently; not `pow` and `hypot`, which agree. */
function replaceMath(): void {
  for (const [name, value] of Object.entries({ ...exponentials, ...trigonometry })) {
    Object.defineProperty(Math, name, { value: Object.freeze(value), writable: false, configurable: false })
  }
  // Not on every runtime.
  Reflect.deleteProperty(Math, 'sumPrecise')
}

function replaceConsole(say: (line: string) => void): void {
  let left = CONSOLE_LINES
  const print = (...parts: unknown[]): void => {
    if (left <= 0) return
    left -= 1
    say(parts.map(String).join(' ').slice(0, CONSOLE_LENGTH))
  }
  const methods = ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table']
  const value = Object.freeze(Object.fromEntries(methods.map((name) => [name, print])))
  Object.defineProperty(globalThis, 'console', { value, writable: false, configurable: false, enumerable: false })
}

/** Prototypes that libraries give members of the same name on their own objects: those members become accessors. */
function overridable(): object[] {
  return [Object.prototype, Function.prototype, Error.prototype, TypeError.prototype, RangeError.prototype]
}

/**
 * A strategy that replaces, say, `Float64Array.prototype.subarray` would see the arrays that the simulation passes to it,
 * bars of the future among them, and would change what the next run computes with.
 */
function freezeBuiltIns(): void {
  const typedArray = Object.getPrototypeOf(Float64Array)
  const iterator = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))
  const constructors = [
    ...[
      Array,
      ArrayBuffer,
      BigInt,
      Boolean,
      DataView,
      Map,
      Number,
      Promise,
      RegExp,
      Set,
      String,
      Symbol,
      WeakMap,
      WeakSet,
    ],
    ...[
      Float64Array,
      Float32Array,
      Int8Array,
      Int16Array,
      Int32Array,
      Uint8Array,
      Uint8ClampedArray,
      Uint16Array,
      Uint32Array,
    ],
    ...[BigInt64Array, BigUint64Array, typedArray, Date, TextEncoder, TextDecoder],
  ] as { prototype: object }[]
  for (const builtIn of constructors) {
    Object.freeze(builtIn.prototype)
    Object.freeze(builtIn)
  }
  const samples = [
    [][Symbol.iterator](),
    new Map().entries(),
    new Set().entries(),
    ''[Symbol.iterator](),
    (function* () {})(),
  ]
  for (const sample of samples) Object.freeze(Object.getPrototypeOf(sample))
  for (const object of [iterator, Math, JSON, Reflect, Object, Proxy]) Object.freeze(object)
  for (const prototype of overridable()) makeOverridable(prototype)
  for (const name of [
    'Array',
    'Map',
    'Set',
    'Object',
    'Promise',
    'String',
    'Number',
    'JSON',
    'Math',
    'Reflect',
    'Proxy',
    'Symbol',
  ]) {
    Object.defineProperty(globalThis, name, { writable: false, configurable: false })
  }
}

/** Freezes a prototype, yet lets objects that inherit from it be assigned a member of the same name. */
function makeOverridable(prototype: object): void {
  for (const key of Reflect.ownKeys(prototype)) {
    const found = Object.getOwnPropertyDescriptor(prototype, key)
    if (!found?.configurable || !('value' in found)) continue
    const { value } = found
    Object.defineProperty(prototype, key, {
      get: () => value,
      set(this: object, own: unknown) {
        if (this === prototype) throw new TypeError(`${String(key)} of a built-in cannot be replaced`)
        Object.defineProperty(this, key, { value: own, writable: true, configurable: true, enumerable: true })
      },
      configurable: false,
      enumerable: found.enumerable ?? false,
    })
  }
  Object.freeze(prototype)
}
