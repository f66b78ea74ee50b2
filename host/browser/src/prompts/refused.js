// Runs in the page's own world, before its scripts. A headless browser asks for permissions,
// passkeys and accounts in windows that nobody sees, and the page waits forever. What would have
// asked so is refused instead, if pickers.js says that a host is there to explain it; else the call
// goes through.
function refuseUnseen(secret) {
  const { apply } = Reflect;
  const { dispatchEvent } = EventTarget.prototype;
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const [Occurrence, Pledge, Failure] = [Event, Promise, DOMException];
  const query = globalThis.Permissions?.prototype.query;
  const permissions = navigator.permissions;

  // Only who knows the secret can listen, or forge it.
  const taken = (target, code) =>
    !apply(dispatchEvent, target, [
      new Occurrence(secret + code, { bubbles: true, cancelable: true, composed: true }),
    ]);
  const fail = (name, message) => Pledge.reject(new Failure(message, name));

  // `instead(go, args)` decides; `go()` is the call as it was.
  const wrap = (object, name, instead) => {
    const own = object && getOwnPropertyDescriptor(object, name);
    if (typeof own?.value !== "function") return;
    const value = new Proxy(own.value, {
      apply: (target, self, args) => instead(() => apply(target, self, args), args, self),
    });
    defineProperty(object, name, { ...own, value });
  };
  const prototype = (name) => globalThis[name]?.prototype;

  for (const name of ["get", "create"]) {
    wrap(prototype("CredentialsContainer"), name, (go, [options]) => {
      // Conditional requests wait in the background by design.
      if (options?.mediation === "conditional") return go();
      const code = options?.publicKey ? "passkey" : options?.identity ? "identity" : null;
      if (code === null || !taken(window, code)) return go();
      return fail("NotAllowedError", "The operation either timed out or was not allowed.");
    });
  }

  // Whether the browser would ask: then the answer is no.
  const refused = (names, code) =>
    Pledge.all(
      names.map((name) =>
        apply(query, permissions, [{ name }]).then(
          (status) => status.state,
          () => "prompt",
        ),
      ),
    ).then(
      (states) => !states.includes("denied") && states.includes("prompt") && taken(window, code),
    );
  const ask = (
    object,
    name,
    names,
    code,
    instead = () => fail("NotAllowedError", "Permission denied"),
  ) =>
    wrap(object, name, (go, args) => {
      const wanted = typeof names === "function" ? names(args) : names;
      return wanted.length === 0 || !query
        ? go()
        : refused(wanted, code).then((no) => (no ? instead() : go()));
    });

  const media = prototype("MediaDevices");
  ask(
    media,
    "getUserMedia",
    ([wanted]) => [...(wanted?.video ? ["camera"] : []), ...(wanted?.audio ? ["microphone"] : [])],
    "camera",
  );
  const clipboard = prototype("Clipboard");
  for (const name of ["read", "readText"]) ask(clipboard, name, ["clipboard-read"], "clipboard");
  for (const name of ["write", "writeText"]) ask(clipboard, name, ["clipboard-write"], "clipboard");
  ask(prototype("PushManager"), "subscribe", ["notifications"], "notifications");
  ask(prototype("Document"), "requestStorageAccess", ["storage-access"], "other");
  ask(prototype("Navigator"), "requestMIDIAccess", ["midi"], "other");

  wrap(globalThis.Notification, "requestPermission", (go, [callback]) => {
    if (Notification.permission !== "default" || !taken(window, "notifications")) return go();
    if (typeof callback === "function") callback("default");
    return Pledge.resolve("default");
  });

  const unlocated = () =>
    Object.create(globalThis.GeolocationPositionError.prototype, {
      code: { value: 1, enumerable: true },
      message: { value: "User denied Geolocation", enumerable: true },
    });
  // Answers the caller as the browser would, later; the numbers of watches are handed out here.
  const { clearWatch } = prototype("Geolocation") ?? {};
  const watches = new Map();
  let lastWatch = 0;
  const locate = (go, [, failed], keep) => {
    void refused(["geolocation"], "geolocation").then((no) => {
      if (!no) return keep(go());
      if (typeof failed === "function") failed(unlocated());
    });
  };
  if (query) {
    const geolocation = prototype("Geolocation");
    wrap(geolocation, "getCurrentPosition", (go, args) => locate(go, args, () => {}));
    wrap(geolocation, "watchPosition", (go, args) => {
      const number = ++lastWatch;
      watches.set(number, null);
      locate(go, args, (watch) => {
        if (watches.has(number)) watches.set(number, watch);
        else apply(clearWatch, navigator.geolocation, [watch]);
      });
      return number;
    });
    wrap(geolocation, "clearWatch", (_, [number], self) => {
      const watch = watches.get(number);
      watches.delete(number);
      if (watch !== null && watch !== undefined) apply(clearWatch, self, [watch]);
    });
  }

  // Windows to choose from, which nobody sees.
  const choose = (object, name, code, error, message) =>
    wrap(object, name, (go) => (taken(window, code) ? fail(error, message) : go()));
  choose(media, "getDisplayMedia", "screen", "NotAllowedError", "Permission denied");
  for (const name of ["USB", "HID", "Bluetooth"])
    choose(prototype(name), "requestDevice", "other", "NotFoundError", "No device selected.");
  choose(
    prototype("Serial"),
    "requestPort",
    "other",
    "NotFoundError",
    "No port selected by the user.",
  );
  choose(
    prototype("PaymentRequest"),
    "show",
    "other",
    "AbortError",
    "User closed the Payment Request UI.",
  );
  for (const name of ["showSaveFilePicker", "showDirectoryPicker"])
    choose(globalThis, name, "files", "AbortError", "The user aborted a request.");

  for (const name of ["HTMLInputElement", "HTMLSelectElement"]) {
    wrap(prototype(name), "showPicker", (go, _, self) => {
      // Only what may be shown: the browser's own checks come first.
      if (!navigator.userActivation?.isActive || !(self instanceof Element) || !taken(self, "show"))
        return go();
    });
  }
}
