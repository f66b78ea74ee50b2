//! What the user types into secret fields, held until the bundle that leaves the room has been searched for it.
//!
//! Two sources, since each misses what the other has: the events as they come, which a page's script cannot
//! change, and the field's value, which knows of a caret that was moved.

use authloop_browser::{FocusedField, View};
use authloop_cdp::{Page, frames_in};
use authloop_protocol::input::{InputEvent, Modifiers};
use authloop_rooms::TypedSecrets;
use serde_json::json;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Values that may wait to be noted; each key makes one.
const MAX_QUEUED_VALUES: usize = 256;
/// The world in which a field is read: out of the page's scripts' reach.
const WORLD_NAME: &str = "authloop-typed";
/// The value of the focused field, through open shadow trees.
const VALUE_SCRIPT: &str = "(() => { let e = document.activeElement; \
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement; \
    return String(e?.value ?? '').slice(0, 4096); })()";

/// With one of these a key is a command and writes nothing.
const SHORTCUT: u8 = Modifiers::CTRL | Modifiers::META;

/// Notes secrets as they are typed.
pub(super) struct TypedLog {
    secrets: TypedSecrets,
    /// What came for the field that has the focus, by its id.
    typing: Option<(u64, Zeroizing<String>)>,
    /// The last value read of a field.
    last_read: Option<(u64, Zeroizing<String>)>,
    values: mpsc::Receiver<(u64, Zeroizing<String>)>,
    reader: mpsc::Sender<(u64, Zeroizing<String>)>,
}

impl TypedLog {
    pub(super) fn new() -> Self {
        let (reader, values) = mpsc::channel(MAX_QUEUED_VALUES);
        Self {
            secrets: TypedSecrets::default(),
            typing: None,
            last_read: None,
            values,
            reader,
        }
    }

    /// Takes an event that is about to be applied.
    pub(super) fn note(&mut self, event: &InputEvent, view: &View) {
        if let InputEvent::Auth {
            password: Some(password),
            ..
        } = event
        {
            self.secrets.note(password);
        }
        let field = view.focus.as_ref().filter(|field| field.is_secret);
        let known = self.typing.as_ref().map(|(id, _)| *id);
        if known.is_some() && known != field.map(|field| field.id) {
            self.finish_field();
        }
        if let Some(field) = field {
            self.type_into(field, event);
        }
    }

    fn type_into(&mut self, field: &FocusedField, event: &InputEvent) {
        let (_, text) = self
            .typing
            .get_or_insert_with(|| (field.id, Zeroizing::default()));
        match event {
            InputEvent::Text { text: more } | InputEvent::Paste { text: more } => {
                text.push_str(more)
            }
            InputEvent::Replace { text: whole } => **text = whole.clone(),
            // A key that writes is named by what it writes (UI Events `KeyboardEvent.key`).
            InputEvent::Key {
                down: true,
                key,
                mods,
                ..
            } if key.chars().count() == 1 && mods.0 & SHORTCUT == 0 => {
                text.push_str(key);
            }
            InputEvent::Key {
                down: true, key, ..
            } if key == "Backspace" => {
                text.pop();
            }
            InputEvent::Delete { before, .. } => {
                for _ in 0..*before {
                    text.pop();
                }
            }
            _ => {}
        }
    }

    /// Begins to read the field's value, once an event that types has been applied.
    pub(super) fn read_value(&mut self, view: &View) {
        self.take_values();
        let Some(field) = view.focus.as_ref().filter(|field| field.is_secret) else {
            return;
        };
        let (id, page, reader) = (field.id, view.page.clone(), self.reader.clone());
        tokio::spawn(async move {
            if let Some(value) = read(&page).await {
                // A full queue has newer values of the same field.
                let _full = reader.try_send((id, value));
            }
        });
    }

    /// Of a field's values the last one counts, and each one before it that was cleared.
    fn take_values(&mut self) {
        while let Ok((id, value)) = self.values.try_recv() {
            let goes_on = self
                .last_read
                .as_ref()
                .is_some_and(|(last, before)| *last == id && is_edit(before, &value));
            if !goes_on && let Some((_, before)) = self.last_read.take() {
                self.secrets.note(&before);
            }
            self.last_read = Some((id, value));
        }
    }

    fn finish_field(&mut self) {
        if let Some((_, text)) = self.typing.take() {
            self.secrets.note(&text);
        }
    }

    /// All that was typed.
    pub(super) fn finish(mut self) -> TypedSecrets {
        self.take_values();
        self.finish_field();
        if let Some((_, value)) = self.last_read.take() {
            self.secrets.note(&value);
        }
        self.secrets
    }
}

/// Whether one value came from another by an edit or two, so that the former was on the way only.
fn is_edit(before: &str, after: &str) -> bool {
    let common = before
        .chars()
        .zip(after.chars())
        .take_while(|(a, b)| a == b)
        .count();
    common + 2 >= before.chars().count().min(after.chars().count()) && !after.is_empty()
}

/// Reads the focused field in the page's frames of this process, the first that has one.
async fn read(page: &Page) -> Option<Zeroizing<String>> {
    let tree = page.call("Page.getFrameTree", json!({})).await.ok()?;
    for frame in frames_in(&tree) {
        let Ok(world) = page.isolated_world(frame, WORLD_NAME).await else {
            continue;
        };
        let answer = page.evaluate_in(world, VALUE_SCRIPT).await.ok()?;
        match answer.as_str() {
            Some(value) if !value.is_empty() => return Some(Zeroizing::new(value.to_owned())),
            _ => {}
        }
    }
    None
}
