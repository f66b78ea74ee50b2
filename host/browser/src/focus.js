// Runs in an isolated world of every frame: the page can neither see nor forge it.
// Tells the host what kind of field has the focus and where; never what is in it.
(() => {
  // Another host comes to the document, or the same one again: it knows nothing yet.
  if (globalThis.authloopNext) return globalThis.authloopNext.restart();

  const NOT_TYPED_INTO = new Set([
    "button",
    "submit",
    "reset",
    "checkbox",
    "radio",
    "range",
    "color",
    "file",
    "image",
    "hidden",
  ]);
  // On a touch device these are picked (see native/pickers.js), with a keyboard their parts are
  // typed.
  const PICKED_BY_TOUCH = new Set(["date", "time", "datetime-local", "month", "week"]);
  const SECRET = /(^|\s)(current-password|new-password|one-time-code|cc-[a-z-]+)(\s|$)/;
  const numbers = new WeakMap();
  let lastNumber = 0;
  let latest = "null";
  let delivered = "null";
  let waiting = null;

  const numberOf = (element) => {
    if (!numbers.has(element)) numbers.set(element, ++lastNumber);
    return numbers.get(element);
  };

  // The document's own: an element may be named like one of its properties and stand in its place.
  const hasFocus = Document.prototype.hasFocus.bind(document);
  const activeElement = Object.getOwnPropertyDescriptor(
    Document.prototype,
    "activeElement",
  ).get.bind(document);

  // Through open shadow trees; a frame's own script answers for the frame.
  const focused = () => {
    let element = hasFocus() ? activeElement() : null;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element;
  };

  const kindOf = (element) => {
    if (element instanceof HTMLInputElement) {
      const picked = PICKED_BY_TOUCH.has(element.type) && matchMedia("(pointer: coarse)").matches;
      const open =
        !NOT_TYPED_INTO.has(element.type) && !picked && !element.disabled && !element.readOnly;
      return open ? element.type : null;
    }
    if (element instanceof HTMLTextAreaElement) {
      return element.disabled || element.readOnly ? null : "textarea";
    }
    return element?.isContentEditable ? "contenteditable" : null;
  };

  const short = (text) =>
    String(text ?? "")
      .toLowerCase()
      .slice(0, 64);

  const viewport = () => {
    const view = window.visualViewport;
    if (!view || view.scale === 1) return [0, 0, window.innerWidth, window.innerHeight];
    return [view.offsetLeft, view.offsetTop, view.width, view.height];
  };

  // A field whose text is shown on request was a password before, and is one still.
  const everMasked = new WeakSet();
  new MutationObserver((changes) => {
    for (const { target, oldValue } of changes)
      if (oldValue?.toLowerCase() === "password") everMasked.add(target);
  }).observe(document, { attributeFilter: ["type"], attributeOldValue: true, subtree: true });

  const isSecret = (element, kind, autocomplete, masked) => {
    if (kind === "password") everMasked.add(element);
    const hidden = !!masked && masked !== "none";
    return SECRET.test(autocomplete) || hidden || everMasked.has(element);
  };

  const describe = (element) => {
    const kind = kindOf(element);
    if (kind === null) return null;
    const box = element.getBoundingClientRect();
    const autocomplete = short(element.getAttribute("autocomplete"));
    const masked = getComputedStyle(element).webkitTextSecurity;
    return {
      number: numberOf(element),
      type: kind,
      inputmode: short(element.inputMode),
      autocomplete,
      enterkeyhint: short(element.enterKeyHint),
      secret: isSecret(element, kind, autocomplete, masked),
      multiline: kind === "textarea" || kind === "contenteditable",
      length: (kind === "contenteditable" ? element.textContent : element.value).length,
      rect: [box.x, box.y, box.width, box.height],
      viewport: window === window.top ? viewport() : null,
      // biome-ignore lint/complexity/useMathMinMax: what takes no text has none: NaN.
      maxlength: element.maxLength > 0 ? element.maxLength : 0,
      // The document's own: `location.origin` does not know of a sandbox or of about:blank's heir.
      origin: self.origin,
    };
  };

  const attributes = new MutationObserver(() => soon(0));
  let watched = null;
  const report = () => {
    const element = focused();
    const field = describe(element);
    if (watched !== element) {
      attributes.disconnect();
      watched = element;
      if (field) {
        const attributeFilter = [
          "type",
          "inputmode",
          "autocomplete",
          "enterkeyhint",
          "readonly",
          "maxlength",
        ];
        attributes.observe(element, { attributeFilter });
      }
    }
    latest = JSON.stringify(field);
    deliver();
  };

  const deliver = () => {
    if (!waiting || latest === delivered) return;
    delivered = latest;
    waiting(latest);
    waiting = null;
  };

  // The host asks for the next report and waits; a binding would need `Runtime.enable`, which a
  // page can notice.
  globalThis.authloopNext = () =>
    new Promise((resolve) => {
      waiting = resolve;
      deliver();
    });

  globalThis.authloopNext.restart = () => {
    waiting = null;
    delivered = "null";
  };

  let timer = 0;
  let due = Infinity;
  const soon = (delay) => {
    const at = performance.now() + delay;
    if (at >= due) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => {
      due = Infinity;
      report();
    }, delay);
  };

  const on = (type, delay) =>
    window.addEventListener(type, (event) => event.isTrusted && soon(delay), {
      capture: true,
      passive: true,
    });
  on("focusin", 0);
  on("focusout", 0);
  on("focus", 0);
  on("blur", 0);
  on("input", 30);
  on("scroll", 100);
  on("resize", 100);
  on("transitionend", 0);
  window.visualViewport?.addEventListener("resize", () => soon(100));
  window.visualViewport?.addEventListener("scroll", () => soon(100));
  // What has the focus is told whole now and then: not every way to it, and out of it, is an event here.
  setInterval(() => soon(0), 1000);
  soon(0);
})();
