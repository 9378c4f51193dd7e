//! The keys. One table feeds dispatch, the footer's hints, the help and the README.
//!
//! A live story and a log that is played share most keys; some belong to one of them.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyEffect {
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
    /// Show or hide the second level of a text.
    Details,
    /// Show or hide the narration of the next chapter.
    Ahead,
    /// Stop a log's time, or let it go on.
    Pause,
    /// Play a log faster.
    Faster,
    /// Play a log slower.
    Slower,
    /// Jump to the next chapter of a log.
    NextChapter,
    /// Jump to the beginning of the chapter, or to the chapter before.
    PreviousChapter,
    /// Jump to the end of a log.
    End,
    /// Draw everything anew.
    Redraw,
    /// Heal and leave.
    Quit,
    /// Heal and leave; the second time leave at once.
    Interrupt,
}

/// The source of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StorySource {
    /// A story that is being played.
    Live,
    /// A log.
    Log,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct KeyBinding {
    pub(crate) keys: &'static [KeyStroke],
    pub(crate) press: KeyEffect,
    /// The only mode in which it has an effect; `None` for both.
    pub(crate) mode: Option<StorySource>,
    /// A word for the footer; the chapter has a better one for [`KeyEffect::Advance`]. Empty for
    /// none.
    pub(crate) hint: &'static str,
    /// The footer always has room for it.
    pub(crate) essential: bool,
    pub(crate) help: &'static str,
}

/// A key and how it is called.
#[derive(Debug)]
pub(crate) struct KeyStroke {
    pub(crate) name: &'static str,
    code: KeyCode,
    modifiers: KeyModifiers,
}

const fn key(name: &'static str, code: KeyCode) -> KeyStroke {
    KeyStroke {
        name,
        code,
        modifiers: KeyModifiers::NONE,
    }
}

const fn ctrl(name: &'static str, letter: char) -> KeyStroke {
    KeyStroke {
        name,
        code: KeyCode::Char(letter),
        modifiers: KeyModifiers::CONTROL,
    }
}

/// All keys, in the order in which help and README list them.
pub(crate) const BINDINGS: &[KeyBinding] = &[
    KeyBinding {
        keys: &[
            key("SPACE", KeyCode::Char(' ')),
            key("Enter", KeyCode::Enter),
            key("Right", KeyCode::Right),
        ],
        press: KeyEffect::Advance,
        mode: Some(StorySource::Live),
        hint: "go on",
        essential: true,
        help: "go on to the next chapter; after the end, leave",
    },
    KeyBinding {
        keys: &[key("r", KeyCode::Char('r'))],
        press: KeyEffect::Rerun,
        mode: Some(StorySource::Live),
        hint: "again",
        essential: false,
        help: "run this chapter's fault again",
    },
    KeyBinding {
        keys: &[key("SPACE", KeyCode::Char(' '))],
        press: KeyEffect::Pause,
        mode: Some(StorySource::Log),
        hint: "pause",
        essential: true,
        help: "stop the time, or let it go on",
    },
    KeyBinding {
        keys: &[key("+", KeyCode::Char('+')), key("=", KeyCode::Char('='))],
        press: KeyEffect::Faster,
        mode: Some(StorySource::Log),
        hint: "faster",
        essential: false,
        help: "play faster",
    },
    KeyBinding {
        keys: &[key("-", KeyCode::Char('-'))],
        press: KeyEffect::Slower,
        mode: Some(StorySource::Log),
        hint: "slower",
        essential: false,
        help: "play slower",
    },
    KeyBinding {
        keys: &[key("Right", KeyCode::Right), key("n", KeyCode::Char('n'))],
        press: KeyEffect::NextChapter,
        mode: Some(StorySource::Log),
        hint: "next",
        essential: false,
        help: "jump to the next chapter",
    },
    KeyBinding {
        keys: &[key("Left", KeyCode::Left), key("p", KeyCode::Char('p'))],
        press: KeyEffect::PreviousChapter,
        mode: Some(StorySource::Log),
        hint: "back",
        essential: false,
        help: "jump to the beginning of the chapter, then to the chapter before",
    },
    KeyBinding {
        keys: &[key("End", KeyCode::End)],
        press: KeyEffect::End,
        mode: Some(StorySource::Log),
        hint: "",
        essential: false,
        help: "jump to the end",
    },
    KeyBinding {
        keys: &[key("e", KeyCode::Char('e'))],
        press: KeyEffect::Details,
        mode: None,
        hint: "evidence",
        essential: false,
        help: "show or hide the evidence of a diagnosis",
    },
    KeyBinding {
        keys: &[key("n", KeyCode::Char('n'))],
        press: KeyEffect::Ahead,
        mode: Some(StorySource::Live),
        hint: "",
        essential: false,
        help: "show or hide the narration of the next chapter",
    },
    KeyBinding {
        keys: &[key("Tab", KeyCode::Tab)],
        press: KeyEffect::NextPanel,
        mode: None,
        hint: "panel",
        essential: false,
        help: "focus the next panel",
    },
    KeyBinding {
        keys: &[key("Shift-Tab", KeyCode::BackTab)],
        press: KeyEffect::PreviousPanel,
        mode: None,
        hint: "",
        essential: false,
        help: "focus the panel before",
    },
    KeyBinding {
        keys: &[key("Up", KeyCode::Up)],
        press: KeyEffect::Up,
        mode: None,
        hint: "",
        essential: false,
        help: "scroll the focused panel, or show the chart before",
    },
    KeyBinding {
        keys: &[key("Down", KeyCode::Down)],
        press: KeyEffect::Down,
        mode: None,
        hint: "",
        essential: false,
        help: "scroll the focused panel, or show the next chart",
    },
    KeyBinding {
        keys: &[key("PageUp", KeyCode::PageUp)],
        press: KeyEffect::PageUp,
        mode: None,
        hint: "",
        essential: false,
        help: "scroll the focused panel by a page",
    },
    KeyBinding {
        keys: &[key("PageDown", KeyCode::PageDown)],
        press: KeyEffect::PageDown,
        mode: None,
        hint: "",
        essential: false,
        help: "scroll the focused panel by a page",
    },
    KeyBinding {
        keys: &[key("z", KeyCode::Char('z'))],
        press: KeyEffect::Zoom,
        mode: None,
        hint: "zoom",
        essential: false,
        help: "show the focused panel alone, or all of them again",
    },
    KeyBinding {
        keys: &[key("?", KeyCode::Char('?'))],
        press: KeyEffect::Help,
        mode: None,
        hint: "help",
        essential: true,
        help: "show or hide the help",
    },
    KeyBinding {
        keys: &[ctrl("Ctrl-L", 'l')],
        press: KeyEffect::Redraw,
        mode: None,
        hint: "",
        essential: false,
        help: "draw the screen anew",
    },
    KeyBinding {
        keys: &[key("q", KeyCode::Char('q'))],
        press: KeyEffect::Quit,
        mode: None,
        hint: "quit",
        essential: true,
        help: "heal, then leave",
    },
    KeyBinding {
        keys: &[ctrl("Ctrl-C", 'c')],
        press: KeyEffect::Interrupt,
        mode: None,
        hint: "",
        essential: false,
        help: "the same; a second time, leave at once",
    },
];

impl KeyEffect {
    /// The effect of a key, if it has one.
    pub(crate) fn of(event: KeyEvent, mode: StorySource) -> Option<Self> {
        // Shift is part of some of the characters themselves, as of "?".
        let modifiers = event.modifiers - KeyModifiers::SHIFT;
        BINDINGS
            .iter()
            .filter(|b| b.is_for(mode))
            .find(|b| {
                b.keys
                    .iter()
                    .any(|k| k.code == event.code && k.modifiers == modifiers)
            })
            .map(|b| b.press)
    }
}

impl KeyBinding {
    /// Whether it has an effect in a mode.
    pub(crate) fn is_for(&self, mode: StorySource) -> bool {
        self.mode.is_none_or(|only| only == mode)
    }

    /// All its keys, as "SPACE, Enter, Right".
    pub(crate) fn names(&self) -> String {
        self.keys
            .iter()
            .map(|k| k.name)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        for mode in [StorySource::Live, StorySource::Log] {
            let bound = BINDINGS.iter().filter(|b| b.is_for(mode));
            let keys: Vec<_> = bound
                .flat_map(|b| b.keys)
                .map(|k| (k.code, k.modifiers))
                .collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(!keys[..i].contains(key), "{key:?} in {mode:?}");
            }
        }
    }

    #[test]
    fn keys_are_told_from_their_look_alikes() {
        let press =
            |code, modifiers| KeyEffect::of(KeyEvent::new(code, modifiers), StorySource::Live);
        assert_eq!(
            press(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(KeyEffect::Interrupt)
        );
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(
            press(KeyCode::Char('?'), KeyModifiers::SHIFT),
            Some(KeyEffect::Help)
        );
        assert_eq!(
            press(KeyCode::BackTab, KeyModifiers::SHIFT),
            Some(KeyEffect::PreviousPanel)
        );
    }

    #[test]
    fn the_readme_has_the_same_table() {
        let mut table = String::from("| key | effect | in |\n|---|---|---|\n");
        for binding in BINDINGS {
            let place = match binding.mode {
                Some(StorySource::Live) => "a live story",
                Some(StorySource::Log) => "a log",
                None => "both",
            };
            table.push_str(&format!(
                "| {} | {} | {place} |\n",
                binding.names(),
                binding.help
            ));
        }
        let readme = include_str!("../README.md");
        assert!(
            readme.contains(&table),
            "the README's table of keys should be:\n{table}"
        );
    }
}
