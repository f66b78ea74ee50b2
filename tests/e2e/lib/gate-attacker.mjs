// An agent that tries every method in the protocol's own JSON, and what it would plant beforehand.

/** They end the browser or the page, or stop it for good: never while the gate is open. */
const FATAL_METHODS = new Set([
  "Browser.close",
  "Browser.crash",
  "Browser.crashGpuProcess",
  "Page.crash",
  "Page.close",
  "Target.closeTarget",
  "Target.disposeBrowserContext",
  "Page.waitForDebugger",
  "Debugger.pause",
  "Emulation.setVirtualTimePolicy",
  "Emulation.setScriptExecutionDisabled",
  "Page.setWebLifecycleState",
  "Target.detachFromTarget",
  "Tracing.requestMemoryDump",
  // Chromium itself dies of these after some of the others.
  "Page.printToPDF",
  "Storage.deleteStorageBucket",
  "Input.synthesizePinchGesture",
  "Input.synthesizeScrollGesture",
  "Input.synthesizeTapGesture",
  "Memory.prepareForLeakDetection",
  "Inspector.disable",
  "Page.handleJavaScriptDialog",
  "SystemInfo.getProcessInfo",
  "Target.setRemoteLocations",
  "Browser.executeBrowserCommand",
  "HeapProfiler.startSampling",
  "DeviceAccess.enable",
  "BluetoothEmulation.simulateAdvertisement",
  "BluetoothEmulation.simulateGATTOperationResponse",
  "BluetoothEmulation.simulateGATTDisconnection",
  "BluetoothEmulation.simulateCharacteristicOperationResponse",
  "BluetoothEmulation.simulateDescriptorOperationResponse",
]);
/** They would destroy what the others look for. */
export const DESTRUCTIVE_METHODS =
  /\.(disable|clear\w*|remove\w*|delete\w*|reset\w*|navigate\w*|reload|stop\w*|setOuterHTML|setNodeValue|setNodeName|setDocumentContent|setAttribute\w*|moveTo|copyTo|replace\w*|discard\w*|end)$/i;

export class HostileAgent {
  /** @param {{domains: object[]}} protocol */
  constructor(protocol) {
    this.types = new Map();
    this.methods = [];
    for (const { domain, types = [], commands = [] } of protocol.domains) {
      for (const type of types) this.types.set(`${domain}.${type.id}`, { ...type, domain });
      for (const command of commands)
        this.methods.push({
          name: `${domain}.${command.name}`,
          domain,
          parameters: command.parameters ?? [],
        });
    }
  }

  #value(param, domain, known, depth = 0) {
    if (param.name in known) return known[param.name];
    if (param.$ref) {
      const name = param.$ref.includes(".") ? param.$ref : `${domain}.${param.$ref}`;
      const type = this.types.get(name);
      const short = name.split(".")[1];
      const id = short[0].toLowerCase() + short.slice(1);
      if (id in known) return known[id];
      return type && depth < 4
        ? this.#value({ ...type, name: undefined }, type.domain, known, depth + 1)
        : null;
    }
    if (param.enum) return param.enum[0];
    switch (param.type) {
      case "string":
      case "binary":
        return "x";
      case "integer":
      case "number":
        return 1;
      case "boolean":
        return true;
      case "array":
        return depth < 4 ? [this.#value(param.items, domain, known, depth + 1)] : [];
      case "object":
        return this.#params(param.properties ?? [], domain, known, false, depth + 1);
      default:
        return null;
    }
  }

  #params(parameters, domain, known, all, depth = 0) {
    const wanted = parameters.filter((param) => all || !param.optional);
    return Object.fromEntries(
      wanted.map((param) => [param.name, this.#value(param, domain, known, depth)]),
    );
  }

  /** Every method with plausible parameters, readers first; `all`: optional ones too. */
  commands(known, { all = false, fatal = false } = {}) {
    const made = this.methods
      .filter(({ name }) => fatal || !FATAL_METHODS.has(name))
      .map(({ name, domain, parameters }) => [name, this.#params(parameters, domain, known, all)]);
    return [
      ...made.filter(([name]) => !DESTRUCTIVE_METHODS.test(name)),
      ...made.filter(([name]) => DESTRUCTIVE_METHODS.test(name)),
    ];
  }
}

/** Sends all of `commands` on each session, a few at a time; gives how many were answered. */
export async function callAll(cdp, sessions, commands, ms = 1000) {
  let answered = 0;
  for (let at = 0; at < commands.length; at += 120) {
    const batch = commands.slice(at, at + 120);
    const asked = batch.flatMap(([method, params]) =>
      sessions.map((session) => cdp.ask(method, params, session, ms)),
    );
    answered += (await Promise.all(asked)).filter(Boolean).length;
  }
  return answered;
}

/**
 * What a script of the agent's does in any document it gets into: remember and tell all that is
 * typed.
 */
export const SPY_SCRIPT = `(() => {
  const take = (root) => { for (const i of root.querySelectorAll("input,textarea")) if (i.value) tell(i.value); };
  const told = new Set();
  const tell = (text) => {
    if (told.has(text)) return;
    told.add(text);
    (window.__stolen ??= []).push(text);
    try { localStorage.stolen = (localStorage.stolen ?? "") + text; } catch {}
    try { document.cookie = "stolen=" + text; } catch {}
    console.log("stolen", text);
    window.leak?.(text);
    fetch("/steal?page=" + encodeURIComponent(text)).catch(() => {});
  };
  for (const type of ["input", "keydown", "change", "submit"]) addEventListener(type, (e) => { take(document); if (e.key) tell(e.key); }, true);
  setInterval(() => { take(document); try { if (opener) take(opener.document); } catch {} }, 50);
})()`;

/** The text in the forms in which an answer may carry it. */
export function encodingsOf(text) {
  const base64 = [0, 1, 2].map((n) =>
    Buffer.from("y".repeat(n) + text)
      .toString("base64")
      .slice(n ? 4 : 0, -4),
  );
  const hex = Buffer.from(text).toString("hex");
  const utf16 = Buffer.from(text, "utf16le");
  return [
    text,
    [...text].reverse().join(""),
    hex,
    hex.toUpperCase(),
    ...base64,
    utf16.toString("base64").slice(0, -4),
    utf16.toString("hex"),
  ];
}

/** The messages in which it is, shortened; a heap snapshot's pieces are put together first. */
export function messagesWith(heard, text) {
  const needles = encodingsOf(text);
  const pieces = heard.filter((m) => m.startsWith(`{"method":"HeapProfiler.addHeapSnapshotChunk"`));
  const heap = pieces.map((m) => JSON.parse(m).params.chunk).join("");
  const found = [];
  for (const message of [...heard, heap]) {
    const needle = needles.find((n) => message.includes(n));
    if (needle) {
      const at = message.indexOf(needle);
      found.push(`${message.slice(0, 120)} … ${message.slice(Math.max(0, at - 120), at + 20)}`);
    }
  }
  return found;
}
