// Runs in an isolated world of every frame, from the document's start. Keeps the browser from
// opening what the screencast does not show (lists, calendars, colour boxes), and tells the host
// what to offer in their place. What else the page would open unseen, unseen.js asks about here.
function installPickers(secret, codes) {
  if (globalThis.authloopNative?.secret === secret) return;
  globalThis.authloopNative?.stop();

  const INPUTS = new Set(["date", "time", "datetime-local", "month", "week", "color"]);
  const SUGGESTING = new Set(["text", "search", "email", "url", "tel", "number"]);
  const MAX_OPTIONS = 1000;
  const MAX_SUGGESTIONS = 8;
  const MAX_LABEL = 100;
  const MAX_WAITING = 16;
  // A page that asks again and again by itself is told of seldom; the user's own tries are.
  const REPEAT_MS = 5000;
  const RETRY_MS = 100;
  // The indicator at the end of a date or time field, with its margins.
  const INDICATOR = 30;
  // A finger that moved further scrolls.
  const SLOP = 12;

  const ending = new AbortController();
  const queue = [];
  let waiting = null;
  const say = (report) => {
    if (queue.length >= MAX_WAITING) queue.shift();
    queue.push(report);
    deliver();
  };
  const deliver = () => {
    if (!waiting || queue.length === 0) return;
    waiting(JSON.stringify(queue.shift()));
    waiting = null;
  };
  const on = (type, listener) =>
    window.addEventListener(type, listener, { capture: true, signal: ending.signal });

  // Offered elements by number, and the options as they were told.
  const offered = new Map();
  let lastNumber = 0;

  const short = (text) =>
    String(text ?? "")
      .replace(/\s+/g, " ")
      .trim()
      .slice(0, MAX_LABEL);
  const labelOf = (element) =>
    short(
      element.getAttribute("aria-label") ||
        element.labels?.[0]?.textContent ||
        element.getAttribute("placeholder") ||
        element.title,
    );

  // Through open shadow trees: the innermost element of the event.
  const targetOf = (event) => event.composedPath()[0];
  const selectAt = (event) => {
    const target = targetOf(event);
    const select = target instanceof Element ? target.closest("select") : null;
    // A select that the page styles as a whole is drawn in the page.
    return select &&
      !select.matches(":disabled") &&
      getComputedStyle(select).appearance !== "base-select"
      ? select
      : null;
  };
  const inputAt = (event) => {
    const target = targetOf(event);
    return target instanceof HTMLInputElement && INPUTS.has(target.type) && isOpen(target)
      ? target
      : null;
  };
  const isOpen = (input) => !input.matches(":disabled") && !input.readOnly;

  const offer = (element, picker, options) => {
    const number = ++lastNumber;
    offered.clear();
    offered.set(number, { element: new WeakRef(element), options });
    say({ picker: { number, label: labelOf(element), ...picker } });
  };

  const offerSelect = (select) => {
    const shown = [...select.options].filter((option) => !option.hidden);
    const told = shown.slice(0, MAX_OPTIONS);
    const options = told.map((option) => ({
      label: short(option.label),
      group:
        option.parentElement instanceof HTMLOptGroupElement
          ? short(option.parentElement.label)
          : "",
      disabled: option.matches(":disabled"),
      selected: option.selected,
    }));
    offer(
      select,
      { kind: "select", multiple: select.multiple, options, truncated: told.length < shown.length },
      told,
    );
  };

  const offerInput = (input) => {
    const { type, value, min, max, step } = input;
    offer(input, {
      kind: type,
      value: short(value),
      min: short(min),
      max: short(max),
      step: short(step),
    });
  };

  // Suggestions for what is typed so far; they stay until the field loses the focus.
  let suggesting = null;
  const suggest = (input) => {
    const typed = input.value.toLowerCase();
    const fits = (option) => {
      const words = `${option.value} ${option.label}`.toLowerCase();
      return option.value !== "" && option.value !== input.value && words.includes(typed);
    };
    const told = [...input.list.options]
      .filter((option) => !option.disabled && fits(option))
      .slice(0, MAX_SUGGESTIONS);
    if (told.length === 0) return stopSuggesting();
    suggesting = input;
    offer(
      input,
      {
        kind: "datalist",
        options: told.map((option) => ({ label: short(option.label || option.value) })),
      },
      told,
    );
  };
  const stopSuggesting = () => {
    if (!suggesting) return;
    suggesting = null;
    offered.clear();
    say({ picker: null });
  };
  const maySuggest = (element) =>
    element instanceof HTMLInputElement &&
    SUGGESTING.has(element.type) &&
    isOpen(element) &&
    element.list !== null;

  let touch = false;
  let touchedAt = null;
  on("pointerdown", (event) => {
    touch = event.pointerType !== "mouse";
    touchedAt = touch ? [event.clientX, event.clientY] : null;
  });
  // A list box is drawn in the page, but fingers have no Control key to choose several by. It takes
  // taps as such, not as clicks.
  const isListBox = (select) => select.multiple || select.size > 1;
  on("touchend", (event) => {
    const select = selectAt(event);
    const [finger] = event.changedTouches;
    if (
      !event.isTrusted ||
      !event.cancelable ||
      !select ||
      !isListBox(select) ||
      !touchedAt ||
      event.touches.length > 0
    )
      return;
    if (Math.hypot(finger.clientX - touchedAt[0], finger.clientY - touchedAt[1]) > SLOP) return;
    event.preventDefault();
    select.focus({ preventScroll: true });
    offerSelect(select);
  });
  on("mousedown", (event) => {
    if (!event.isTrusted || event.button !== 0) return;
    const select = selectAt(event);
    if (select) {
      if (isListBox(select)) return;
      event.preventDefault();
      select.focus({ preventScroll: true });
      return offerSelect(select);
    }
    // The focus would open the soft keyboard over the picker.
    if (touch && inputAt(event)) event.preventDefault();
  });
  on("click", (event) => {
    const input = inputAt(event);
    if (!input || !(event.isTrusted || navigator.userActivation?.isActive)) return;
    const box = input.getBoundingClientRect();
    const rtl = getComputedStyle(input).direction === "rtl";
    const fromEnd = rtl ? event.clientX - box.left : box.right - event.clientX;
    // With a mouse, the parts of a date are clicked and typed into.
    if (!touch && input.type !== "color" && event.detail > 0 && fromEnd > INDICATOR) return;
    event.preventDefault();
    offerInput(input);
  });
  on("keydown", (event) => {
    if (!event.isTrusted) return;
    const { key, altKey } = event;
    const opens =
      key === " " || key === "F4" || (altKey && (key === "ArrowDown" || key === "ArrowUp"));
    const select = selectAt(event);
    if (select && !select.multiple && select.size <= 1 && (opens || key === "Enter")) {
      event.preventDefault();
      return offerSelect(select);
    }
    const input = inputAt(event);
    if (input && input.type !== "color" && opens) {
      event.preventDefault();
      offerInput(input);
    }
  });
  on("focusin", (event) => {
    const target = targetOf(event);
    if (maySuggest(target)) suggest(target);
    else stopSuggesting();
  });
  on("focusout", stopSuggesting);
  on("input", (event) => {
    const target = targetOf(event);
    if (event.isTrusted && maySuggest(target)) suggest(target);
  });

  const told = new Map();
  for (const code of codes) {
    on(secret + code, (event) => {
      event.preventDefault();
      const pause = navigator.userActivation?.isActive ? RETRY_MS : REPEAT_MS;
      if (performance.now() - (told.get(code) ?? -Infinity) < pause) return;
      told.set(code, performance.now());
      say({ refused: code });
    });
  }
  // The page's own `showPicker()`.
  on(`${secret}show`, (event) => {
    const target = targetOf(event);
    if (target instanceof HTMLSelectElement && selectAt(event)) {
      event.preventDefault();
      offerSelect(target);
    } else if (inputAt(event)) {
      event.preventDefault();
      offerInput(target);
    }
  });

  const fire = (element) => {
    element.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // Pages draw their options anew: one that says the same stands for one that is gone.
  const current = (select, option) =>
    option.isConnected && option.closest("select") === select
      ? option
      : [...select.options].find((o) => o.value === option.value && o.label === option.label);

  const chooseIn = (select, told, places) => {
    if (!select.multiple && places.length !== 1) return false;
    const chosen = places.map((place) => told[place] && current(select, told[place]));
    if (chosen.some((option) => !option || option.matches(":disabled"))) return false;
    const before = [...select.selectedOptions];
    if (select.multiple) {
      // Those that were not told stay as they are.
      const known = new Set(told.map((option) => current(select, option)));
      for (const option of select.options) {
        if (known.has(option) && !option.matches(":disabled"))
          option.selected = chosen.includes(option);
      }
    } else {
      chosen[0].selected = true;
    }
    const after = [...select.selectedOptions];
    if (before.length !== after.length || before.some((option, i) => option !== after[i]))
      fire(select);
    return true;
  };

  const setValue = (input, value) => {
    const before = input.value;
    input.value = value;
    // HTML's sanitisation: what is no value of this type becomes none.
    if (value !== "" && input.value === "") {
      input.value = before;
      return false;
    }
    if (input.value !== before) fire(input);
    return true;
  };

  globalThis.authloopNative = {
    secret,
    next: () =>
      new Promise((resolve) => {
        waiting = resolve;
        deliver();
      }),
    // Whether the answer could be given to the page.
    answer: (number, { options, value }) => {
      const found = offered.get(number);
      const element = found?.element.deref();
      if (!element?.isConnected || element.matches(":disabled")) return false;
      if (element instanceof HTMLSelectElement)
        return Array.isArray(options) && chooseIn(element, found.options, options);
      if (!isOpen(element)) return false;
      if (found.options) {
        const option = found.options[options?.[0]];
        return option !== undefined && setValue(element, option.value);
      }
      return typeof value === "string" && setValue(element, value);
    },
    stop: () => ending.abort(),
  };

  let focused = document.activeElement;
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  if (document.hasFocus() && maySuggest(focused)) suggest(focused);
}
