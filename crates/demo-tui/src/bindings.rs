//! The keys. One table feeds dispatch, the footer's hints, the help and the README.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Press {
    /// Go on to the next chapter, or leave when the story has ended.
    Advance,
    /// Run the chapter's fault again.
    Rerun,
    /// Focus the next panel.
    NextPanel,
    /// Focus the panel before.
    PreviousPanel,
    /// Scroll the focused panel up by a line.
    Up,
    /// Scroll the focused panel down by a line.
    Down,
    /// Scroll the focused panel up by a page.
    PageUp,
    /// Scroll the focused panel down by a page.
    PageDown,
    /// Show the focused panel alone, or all of them again.
    Zoom,
    /// Show or hide the help.
    Help,
    /// Draw everything anew.
    Redraw,
    /// Heal and leave.
    Quit,
    /// Heal and leave; the second time leave at once.
    Interrupt,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    pub(crate) press: Press,
    /// A word for the footer; the chapter has a better one for [`Press::Advance`]. Empty for none.
    pub(crate) hint: &'static str,
    /// The footer always has room for it.
    pub(crate) essential: bool,
    pub(crate) help: &'static str,
}

/// A key and how it is called.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    code: KeyCode,
    modifiers: KeyModifiers,
}

const fn key(name: &'static str, code: KeyCode) -> Key {
    Key { name, code, modifiers: KeyModifiers::NONE }
}

const fn ctrl(name: &'static str, letter: char) -> Key {
    Key { name, code: KeyCode::Char(letter), modifiers: KeyModifiers::CONTROL }
}

/// All keys, in the order in which help and README list them.
pub(crate) const BINDINGS: &[Binding] = &[
    Binding {
        keys: &[key("SPACE", KeyCode::Char(' ')), key("Enter", KeyCode::Enter), key("Right", KeyCode::Right)],
        press: Press::Advance,
        hint: "go on",
        essential: true,
        help: "go on to the next chapter; after the end, leave",
    },
    Binding {
        keys: &[key("r", KeyCode::Char('r'))],
        press: Press::Rerun,
        hint: "again",
        essential: false,
        help: "run this chapter's fault again",
    },
    Binding {
        keys: &[key("Tab", KeyCode::Tab)],
        press: Press::NextPanel,
        hint: "panel",
        essential: false,
        help: "focus the next panel",
    },
    Binding {
        keys: &[key("Shift-Tab", KeyCode::BackTab)],
        press: Press::PreviousPanel,
        hint: "",
        essential: false,
        help: "focus the panel before",
    },
    Binding {
        keys: &[key("Up", KeyCode::Up)],
        press: Press::Up,
        hint: "",
        essential: false,
        help: "scroll the focused panel, or show the chart before",
    },
    Binding {
        keys: &[key("Down", KeyCode::Down)],
        press: Press::Down,
        hint: "",
        essential: false,
        help: "scroll the focused panel, or show the next chart",
    },
    Binding {
        keys: &[key("PageUp", KeyCode::PageUp)],
        press: Press::PageUp,
        hint: "",
        essential: false,
        help: "scroll the focused panel by a page",
    },
    Binding {
        keys: &[key("PageDown", KeyCode::PageDown)],
        press: Press::PageDown,
        hint: "",
        essential: false,
        help: "scroll the focused panel by a page",
    },
    Binding {
        keys: &[key("z", KeyCode::Char('z'))],
        press: Press::Zoom,
        hint: "zoom",
        essential: false,
        help: "show the focused panel alone, or all of them again",
    },
    Binding {
        keys: &[key("?", KeyCode::Char('?'))],
        press: Press::Help,
        hint: "help",
        essential: true,
        help: "show or hide the help",
    },
    Binding {
        keys: &[ctrl("Ctrl-L", 'l')],
        press: Press::Redraw,
        hint: "",
        essential: false,
        help: "draw the screen anew",
    },
    Binding {
        keys: &[key("q", KeyCode::Char('q'))],
        press: Press::Quit,
        hint: "quit",
        essential: true,
        help: "heal, then leave",
    },
    Binding {
        keys: &[ctrl("Ctrl-C", 'c')],
        press: Press::Interrupt,
        hint: "",
        essential: false,
        help: "the same; a second time, leave at once",
    },
];

impl Press {
    /// The effect of a key, if it has one.
    pub(crate) fn of(event: KeyEvent) -> Option<Self> {
        // Shift is part of some of the characters themselves, as of "?".
        let modifiers = event.modifiers - KeyModifiers::SHIFT;
        BINDINGS
            .iter()
            .find(|b| b.keys.iter().any(|k| k.code == event.code && k.modifiers == modifiers))
            .map(|b| b.press)
    }
}

impl Binding {
    /// All its keys, as "SPACE, Enter, Right".
    pub(crate) fn names(&self) -> String {
        self.keys.iter().map(|k| k.name).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        let keys: Vec<_> = BINDINGS.iter().flat_map(|b| b.keys).map(|k| (k.code, k.modifiers)).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{key:?}");
        }
    }

    #[test]
    fn keys_are_told_from_their_look_alikes() {
        let press = |code, modifiers| Press::of(KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Press::Interrupt));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(press(KeyCode::Char('?'), KeyModifiers::SHIFT), Some(Press::Help));
        assert_eq!(press(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Press::PreviousPanel));
    }

    #[test]
    fn the_readme_has_the_same_table() {
        let mut table = String::from("| key | effect |\n|---|---|\n");
        for binding in BINDINGS {
            table.push_str(&format!("| {} | {} |\n", binding.names(), binding.help));
        }
        let readme = include_str!("../README.md");
        assert!(readme.contains(&table), "the README's table of keys should be:\n{table}");
    }
}
