//! Decides which page the user should see, from the browser's target events. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use authloop_cdp::{TargetId, TargetInfo};

/// The pages that belong to the handoff: the first one and what it opened, in order of opening.
#[derive(Debug)]
pub(super) struct Tabs {
    active: Option<TargetId>,
    family: Vec<FamilyMember>,
    last_number: u32,
}

#[derive(Debug)]
struct FamilyMember {
    id: TargetId,
    opener: Option<TargetId>,
    /// Its number among all pages that ever were in the family.
    number: u32,
    url: String,
    title: String,
}

/// A window of the handoff's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tab {
    /// Differs from every other of this session.
    pub number: u32,
    /// Its page's address, as the browser process has it.
    pub url: String,
    /// Its title, in the page's words.
    pub title: String,
    /// Whether it is the one shown.
    pub shown: bool,
}

impl Tabs {
    pub(super) fn new(first: TargetId) -> Self {
        Self {
            active: Some(first.clone()),
            family: vec![FamilyMember {
                id: first,
                opener: None,
                number: 1,
                url: String::new(),
                title: String::new(),
            }],
            last_number: 1,
        }
    }

    /// The family, in order of opening.
    pub(super) fn list(&self) -> Vec<Tab> {
        let tab = |member: &FamilyMember| Tab {
            number: member.number,
            url: member.url.clone(),
            title: member.title.clone(),
            shown: self.active.as_ref() == Some(&member.id),
        };
        self.family.iter().map(tab).collect()
    }

    /// The page of a [`Tab::number`].
    pub(super) fn numbered(&self, number: u32) -> Option<&TargetId> {
        let member = self.family.iter().find(|m| m.number == number);
        member.map(|member| &member.id)
    }

    /// The user wants to see a page; returns whether it is another one than now.
    pub(super) fn switch(&mut self, id: &TargetId) -> bool {
        let another = self.contains(id) && self.active.as_ref() != Some(id);
        if another {
            self.active = Some(id.clone());
        }
        another
    }

    /// What the browser says of a page of the family now.
    pub(super) fn describe(&mut self, page: &TargetInfo) {
        if let Some(member) = self.family.iter_mut().find(|m| m.id == page.id) {
            member.url.clone_from(&page.url);
            member.title.clone_from(&page.title);
        }
    }

    pub(super) fn active(&self) -> Option<&TargetId> {
        self.active.as_ref()
    }

    /// A page appeared; returns whether it is now the active one.
    pub(super) fn opened(&mut self, page: &TargetInfo) -> bool {
        let known = |id: &TargetId| self.family.iter().any(|m| m.id == *id);
        let ours = page.opener.as_ref().is_some_and(known);
        if !ours || known(&page.id) {
            return false;
        }
        self.last_number += 1;
        self.family.push(FamilyMember {
            id: page.id.clone(),
            opener: page.opener.clone(),
            number: self.last_number,
            url: page.url.clone(),
            title: page.title.clone(),
        });
        self.active = Some(page.id.clone());
        true
    }

    /// A page closed; returns whether the active one changed (perhaps to none).
    pub(super) fn closed(&mut self, id: &TargetId) -> bool {
        let Some(at) = self.family.iter().position(|m| m.id == *id) else {
            return false;
        };
        let gone = self.family.remove(at);
        // Its children now go back to where it would have gone back.
        for member in &mut self.family {
            if member.opener.as_ref() == Some(id) {
                member.opener.clone_from(&gone.opener);
            }
        }
        if self.active.as_ref() != Some(id) {
            return false;
        }
        let opener = gone
            .opener
            .filter(|o| self.family.iter().any(|m| m.id == *o));
        self.active = opener.or_else(|| self.family.last().map(|m| m.id.clone()));
        true
    }

    pub(super) fn contains(&self, id: &TargetId) -> bool {
        self.family.iter().any(|m| m.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(id: &str, opener: Option<&str>) -> TargetInfo {
        TargetInfo {
            id: id.into(),
            url: String::new(),
            title: String::new(),
            opener: opener.map(TargetId::from),
            context: None,
        }
    }

    #[test]
    fn a_popup_is_followed_and_left_again() {
        let mut tabs = Tabs::new("a".into());

        assert!(tabs.opened(&page("b", Some("a"))));
        assert_eq!(tabs.active(), Some(&"b".into()));
        assert!(tabs.closed(&"b".into()));

        assert_eq!(tabs.active(), Some(&"a".into()));
    }

    #[test]
    fn the_user_goes_back_to_the_opener_and_forth() {
        let mut tabs = Tabs::new("a".into());
        tabs.opened(&page("b", Some("a")));

        let opener = tabs.numbered(1).cloned().unwrap();
        assert!(tabs.switch(&opener));

        assert_eq!(tabs.active(), Some(&"a".into()));
        let shown: Vec<_> = tabs.list().iter().map(|t| (t.number, t.shown)).collect();
        assert_eq!(shown, [(1, true), (2, false)]);
        assert!(!tabs.switch(&"x".into()));
        assert!(!tabs.closed(&"b".into()));
        tabs.opened(&page("c", Some("a")));
        assert_eq!(tabs.list()[1].number, 3, "a number is never used again");
    }

    #[test]
    fn strangers_are_left_alone() {
        let mut tabs = Tabs::new("a".into());

        assert!(!tabs.opened(&page("x", None)));
        assert!(!tabs.opened(&page("y", Some("x"))));

        assert!(!tabs.closed(&"x".into()));
        assert_eq!(tabs.active(), Some(&"a".into()));
    }

    #[test]
    fn when_the_middle_closes_first_the_end_goes_back_to_the_start() {
        let mut tabs = Tabs::new("a".into());
        tabs.opened(&page("b", Some("a")));
        tabs.opened(&page("c", Some("b")));

        assert!(!tabs.closed(&"b".into()));
        assert!(tabs.closed(&"c".into()));

        assert_eq!(tabs.active(), Some(&"a".into()));
    }

    #[test]
    fn after_the_last_page_nothing_is_active() {
        let mut tabs = Tabs::new("a".into());

        assert!(tabs.closed(&"a".into()));

        assert_eq!(tabs.active(), None);
    }
}
